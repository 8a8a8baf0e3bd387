/*
 * Completion: one answer of storage; and the queue of those that no step was told of yet, oldest
 * first.
 *
 * Storage calls its events where it stands, from inside the call that is answered as well as from
 * the loop. Here they are only put down. Whoever runs the steps takes them between two actions, so
 * that no step and no call of storage is entered while another is under way.
 */
#ifndef NODE_ENGINE_STORE_COMPLETION_H
#define NODE_ENGINE_STORE_COMPLETION_H

#include "node/engine/store/storage.h"

/* One for each of StorageEvents. */
typedef enum CompletionKind
{
    COMPLETION_MERGED,
    COMPLETION_DURABLE,
    COMPLETION_READ,
    COMPLETION_SCANNED,
    COMPLETION_CHECKED,
    COMPLETION_UNREADABLE,
    COMPLETION_REPLACED,
    COMPLETION_DISK_CHANGED
} CompletionKind;

typedef struct Completion
{
    CompletionKind kind;
    StatusCode status;
    uint64_t ref;
    union
    {
        Slice object;         /* merged, read */
        StoragePage page;     /* scanned */
        StorageCheck check;   /* checked */
        StorageExtent extent; /* unreadable; replaced: of one position */
    };
} Completion;

typedef struct Completions
{
    Arena arena; /* what they point to */
    Completion *list;
    size_t count;
    size_t capacity;
    size_t taken;
} Completions;

void completions_init(Completions *completions);
void completions_free(Completions *completions);

/* Each puts a copy at the end. */
StorageEvents completions_events(Completions *completions);
bool completions_wait(const Completions *completions);

/* Takes the oldest; false when there is none. It points to what is valid until that. */
bool completions_take(Completions *completions, Completion *completion);

#endif
