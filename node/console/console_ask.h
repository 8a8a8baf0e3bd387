/*
 * console_ask: what the console's commands about the cluster have in common: the topology they are
 * about, and questions that the node is asked as a client would ask it.
 */
#ifndef NODE_CONSOLE_CONSOLE_ASK_H
#define NODE_CONSOLE_CONSOLE_ASK_H

#include "node/console/console.h"
#include "shared/wire/message.h"

/* The topology in force, or NULL after a notice, or an error, that says why there is none. */
const Topology *console_topology_or_notice(Console *console, Session *session);
const Topology *console_topology_or_error(Console *console, Session *session);

/* NULL after an error: there is no bucket of that name. */
const Bucket *console_bucket_or_error(const Topology *topology, Session *session, const char *name);

/* NULL: it is no member any more. */
const char *console_member_name(const Topology *topology, const MemberId *id);

/* Answers that the command failed. message may be empty; the text of the status then serves. Where
 * a quorum was missing, the DETAIL names the members that this node does not reach. */
void console_fail(Console *console, Session *session, StatusCode status, Slice message);

/* Answers the session with the contents of a frame, which is no FRAME_ERROR. Returns false, having
 * answered nothing, when the frame cannot be used. */
typedef bool (*ConsoleAnswer)(Console *console, Session *session, const ConsoleCommand *command,
                              const Frame *frame);

/*
 * Asks the node and answers when the reply comes, or when the node gives up; the session may be
 * gone or have cancelled by then, and the question is forgotten.
 */
void console_ask(Console *console, Session *session, const ConsoleCommand *command, Slice frame,
                 ConsoleAnswer answer);

#endif
