/*
 * Version: what an object has seen, and which dots are alive in it: enough to tell which of two
 * objects is newer without their values.
 *
 * The version of an absent object is empty, and within every other.
 */
#ifndef SHARED_DATA_VERSION_H
#define SHARED_DATA_VERSION_H

#include "shared/data/object.h"

typedef struct Version
{
    VClock context;
    Dot *dots; /* of the siblings, sorted; context covers each */
    uint32_t dot_count;
} Version;

/* Borrows the object's context. */
Version version_of(Arena *arena, const Object *object);

/* True when object_merge(a, b) gives b: it has seen all that a has, and has kept no dot that a saw
 * go. Objects that are within each other are equal. */
bool version_is_within(const Version *a, const Version *b);

void version_encode(Buffer *buffer, const Version *version);

/* Fails the reader on a dot that the context does not cover, and on dots out of order. */
Version version_decode(Reader *reader, Arena *arena);

#endif
