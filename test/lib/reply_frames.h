/* reply_frames: frames that the product writes item by item, written from a list. */
#ifndef TEST_LIB_REPLY_FRAMES_H
#define TEST_LIB_REPLY_FRAMES_H

#include "shared/wire/message.h"

void replicate_reply_encode(Buffer *buffer, uint32_t tag, const ReplicateReply *reply);

#endif
