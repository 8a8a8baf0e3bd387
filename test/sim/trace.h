/*
 * trace: the run told as it happens, one line an event, for a person to follow.
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include "shared/data/object.h"

typedef struct World World;

enum
{
    TRACE_TEXTS = 8
};

/* A piece of a line. */
typedef struct TraceText
{
    char bytes[512];
    size_t length;
} TraceText;

/* Prints virtual time and the text, when the world is traced. */
void trace_line(World *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool trace_is_on(const World *world);

/* The frame in words ("write k1.v3 (retry)"), valid until a few calls later. */
const char *trace_frame(World *world, Slice frame);

/* "n2" or "c1". */
const char *trace_endpoint(World *world, uint32_t endpoint);

/* Some endpoints, as bits. */
const char *trace_endpoints(World *world, uint32_t endpoints);

/* "k1.v3"; and an encoded object's siblings. Both as trace_frame. */
const char *trace_version(World *world, const RequestId *request);
const char *trace_object(World *world, Slice object);

#define trace(world, ...)                                                                          \
    do                                                                                             \
    {                                                                                              \
        if (trace_is_on(world))                                                                    \
            trace_line(world, __VA_ARGS__);                                                        \
    } while (0)

#endif
