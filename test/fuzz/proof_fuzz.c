/* A server's bytes during a login: what is taken is whole messages, and nobody is ready without
 * all of a SCRAM exchange. */
#include "test/fuzz/fuzz.h"

#include "shared/wire/proof.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Proof whole = {0};
    Proof cut = {0};
    size_t taken = proof_take(&whole, slice_make(data, size));
    size_t half = size / 2;
    size_t first = proof_take(&cut, slice_make(data, half));

    fuzz_is_taken = taken > 0;
    fuzz_require(taken <= size && first <= half);
    if (cut.error == NULL)
        first += proof_take(&cut, slice_make(data + first, size - first));
    fuzz_require(cut.stage == whole.stage && (cut.error == NULL) == (whole.error == NULL));
    if (whole.stage >= PROOF_GIVEN && whole.error == NULL)
        fuzz_require(taken >= 4 * 9); /* SASL, SASLContinue, SASLFinal, AuthenticationOk */
    return 0;
}
