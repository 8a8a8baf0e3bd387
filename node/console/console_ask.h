/*
 * console_ask: common parts of the console's commands about the cluster: the topology that they
 * speak of, and questions that they ask of the node as a client would.
 */
#ifndef NODE_CONSOLE_CONSOLE_ASK_H
#define NODE_CONSOLE_CONSOLE_ASK_H

#include "node/console/console.h"
#include "shared/wire/message.h"

/* The topology in force, or NULL after a notice, or an error, that says why the node has none. */
const Topology *console_topology_or_notice(Console *console, Session *session);
const Topology *console_topology_or_error(Console *console, Session *session);

/* The bucket of that name, or NULL after an error that says that there is none. */
const Bucket *console_bucket_or_error(const Topology *topology, Session *session, const char *name);

/* The name of the member, or NULL when it is a member no more. */
const char *console_member_name(const Topology *topology, const MemberId *id);

/* Answers that the command failed. message may be empty; the text of the status
 * then serves. A second line of it is the HINT, a third the DETAIL. Where
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
