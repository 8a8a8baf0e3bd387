/*
 * CRC-32C (Castagnoli), masked as RocksDB stores it (util/crc32c.h): a checksum of bytes among
 * which there are checksums.
 */
#include "node/rocks/rocks_private.h"

void
rocks_crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++)
    {
        uint32_t crc = i;

        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        table[i] = crc;
    }
}

uint32_t
rocks_crc_masked(const uint32_t table[256], const uint8_t *data, size_t length)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}
