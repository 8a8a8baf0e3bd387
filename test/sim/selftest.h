/*
 * selftest: hand-made histories for the checker. Each is right but for one thing, which must be
 * found.
 */
#ifndef SIM_SELFTEST_H
#define SIM_SELFTEST_H

/* 0 when every history was judged as it must be. */
int selftest_run(void);

#endif
