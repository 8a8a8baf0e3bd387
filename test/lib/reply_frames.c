/* The product writes these frames item by item, as answers become ready; here they are written from
 * a list. */
#include "test/lib/reply_frames.h"

void
replicate_reply_encode(Buffer *buffer, uint32_t tag, const ReplicateReply *reply)
{
    Buffer items;

    buffer_init(&items, &MEMORY_HEAP);
    for (uint32_t i = 0; i < reply->item_count; i++)
        replicate_result_encode(&items, &reply->items[i]);
    replicate_reply_encode_items(buffer, tag, reply->item_count, buffer_slice(&items));
    buffer_free(&items);
}
