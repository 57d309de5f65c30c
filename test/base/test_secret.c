/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include "test/test.h"

static void prove(const char *secret, const char *first, const char *second,
                  uint8_t out[SECRET_PROOF_BYTES])
{
    struct bytes parts[2] = {bytes_text(first), bytes_text(second)};
    secret_proof(bytes_text(secret), parts, 2, out);
}

TEST(base_secret, proof_is_keyed_blake2b_of_each_part_with_its_length)
{
    /* hashlib.blake2b(le64(3) + b"one" + le64(3) + b"two", digest_size=32,
     *                 key=hashlib.blake2b(b"sesame", digest_size=32).digest()) */
    static const uint8_t expected[SECRET_PROOF_BYTES] = {
        0x96, 0x79, 0x9a, 0x7a, 0xfc, 0x5c, 0x29, 0x28, 0x70, 0x3a, 0xec,
        0x6d, 0x3f, 0x4e, 0x56, 0xc7, 0xbc, 0x0c, 0x9a, 0x82, 0xb1, 0xbf,
        0x2c, 0x10, 0x50, 0xf5, 0xf7, 0xc6, 0x5e, 0x4a, 0x2a, 0x96};
    uint8_t proof[SECRET_PROOF_BYTES];
    prove("sesame", "one", "two", proof);
    assert_memory_equal(proof, expected, sizeof proof);
    assert_true(secret_equal(proof, expected));
    proof[31] ^= 1;
    assert_false(secret_equal(proof, expected));
}

TEST(base_secret, proof_depends_on_the_secret_and_on_where_a_part_ends)
{
    uint8_t a[SECRET_PROOF_BYTES], b[SECRET_PROOF_BYTES];
    prove("sesame", "one", "two", a);
    prove("Sesame", "one", "two", b);
    assert_false(secret_equal(a, b));
    prove("sesame", "onet", "wo", b);
    assert_false(secret_equal(a, b));
    prove("", "one", "two", b);
    assert_false(secret_equal(a, b));
}
