/*
 * MemberId: who a node is, in every place that names one.
 *
 * Drawn once by `dynamo_node init`. It is never an address, and never given to another node.
 */
#ifndef SHARED_BASE_MEMBER_ID_H
#define SHARED_BASE_MEMBER_ID_H

#include <stdint.h>

typedef struct MemberId
{
    uint8_t bytes[16];
} MemberId;

#endif
