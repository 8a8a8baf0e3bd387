/* hostile: the wrong bytes that every decoder must bear. */
#ifndef TEST_UNIT_STAGES_HOSTILE_H
#define TEST_UNIT_STAGES_HOSTILE_H

#include "test/lib/round_trip.h"

/*
 * bytes come back as they are; cut anywhere, with a byte more, or with any byte changed they are
 * refused or still come back as they are. Each try has a block of its own exact size, so that a
 * sanitizer sees a read too far.
 */
void assert_hostile_bytes_are_refused(Slice bytes, RoundTrip round_trip);

#endif
