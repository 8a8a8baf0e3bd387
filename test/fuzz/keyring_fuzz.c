/* Any bytes as a file of cluster keys: what is taken has one form, which reads as the same keys. */
#include "test/fuzz/fuzz.h"

#include <string.h>

#include "node/config/keyring.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[KEYRING_TEXT_SIZE];
    char again[KEYRING_TEXT_SIZE];
    ClusterKeys ring;

    if (keyring_parse(&ring, (const char *)data, size, "fuzz").failed)
        return 0;
    fuzz_is_taken = true;
    fuzz_require(ring.count > 0 && ring.count <= CLUSTER_KEYS_MAX);
    keyring_format(&ring, text);
    fuzz_require(!keyring_parse(&ring, text, strlen(text), "fuzz").failed);
    keyring_format(&ring, again);
    fuzz_require(strcmp(text, again) == 0);
    return 0;
}
