/* SPDX-License-Identifier: Apache-2.0 */
/* The files of certificates: what is wrong with one ends the start, with its directive and name. */
#include <sys/stat.h>

#include "real/tls_context.h"
#include "test/real/tls_bed.h"

/* True: the why has both texts. */
static bool is_refused(struct tls_bed *bed, const struct real_tls_options *options,
                       const char *directive, const char *reason)
{
    SSL_CTX *context;
    struct why why = {""};
    enum err err = tls_context_open(&context, options, &bed->trace, &why);
    assert_int_equal(err, ERR_CONFIG);
    assert_null(context);
    if (strncmp(why.text, directive, strlen(directive)) != 0 || strstr(why.text, reason) == NULL)
        fail_msg("%s", why.text);
    return true;
}

static void is_good(struct tls_bed *bed, const struct real_tls_options *options)
{
    SSL_CTX *context;
    struct why why = {""};
    if (tls_context_open(&context, options, &bed->trace, &why) != ERR_OK) fail_msg("%s", why.text);
    SSL_CTX_free(context);
}

TEST(real_tls_files, what_is_missing_is_named)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    struct real_tls_options options = tls_bed_options(&bed, "a");
    is_good(&bed, &options);
    options.cert_file = "";
    assert_true(is_refused(&bed, &options, "tls-cert-file", "is not given"));
    options = tls_bed_options(&bed, "a");
    options.key_file = "";
    assert_true(is_refused(&bed, &options, "tls-key-file", "is not given"));
    options = tls_bed_options(&bed, "a");
    options.ca_file = "";
    assert_true(is_refused(&bed, &options, "tls-ca-cert-file or tls-ca-cert-dir", "neither"));
    options = tls_bed_options(&bed, "absent");
    assert_true(is_refused(&bed, &options, "tls-cert-file", "absent.crt: No such file"));
    options = tls_bed_options(&bed, "a");
    options.key_file = place_path(&bed.place, "absent");
    assert_true(is_refused(&bed, &options, "tls-key-file", "absent: No such file"));
    options = tls_bed_options(&bed, "a");
    options.ca_file = place_path(&bed.place, "absent");
    assert_true(is_refused(&bed, &options, "tls-ca-cert-file", "absent: No such file"));
    options = tls_bed_options(&bed, "a");
    options.ca_dir = place_path(&bed.place, "absent");
    assert_true(is_refused(&bed, &options, "tls-ca-cert-dir", "absent: No such file"));
    tls_bed_close(&bed);
}

TEST(real_tls_files, what_does_not_fit_is_named)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    struct real_tls_options options = tls_bed_options(&bed, "a");
    options.key_file = place_path(&bed.place, "b.key");
    assert_true(is_refused(&bed, &options, "tls-key-file", "b.key cannot be used: key values"));
    options = tls_bed_options(&bed, "a");
    options.cert_file = options.key_file;
    assert_true(is_refused(&bed, &options, "tls-cert-file", "a.key cannot be used: "));
    options = tls_bed_options(&bed, "a");
    options.key_file = options.cert_file;
    assert_true(is_refused(&bed, &options, "tls-key-file", "a.crt cannot be used: "));
    options = tls_bed_options(&bed, "a");
    options.ca_file = options.key_file;
    assert_true(is_refused(&bed, &options, "tls-ca-cert-file", "a.key cannot be used: "));
    options = tls_bed_options(&bed, "a");
    options.protocols = "TLSv1.3 TLSv1.1";
    assert_true(is_refused(&bed, &options, "tls-protocols", "not TLSv1.1"));
    options.protocols = "TLSv1.3";
    is_good(&bed, &options);
    options.protocols = "tlsv1.2 TLSv1.3";
    is_good(&bed, &options);
    tls_bed_close(&bed);
}

TEST(real_tls_files, a_key_with_a_password_needs_it)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    struct signer made;
    signer_make(&made, "locked", &bed.ours, -DAY, DAY);
    struct real_tls_options options = tls_bed_options(&bed, "locked");
    signer_write(&made, options.cert_file, options.key_file, "sesame");
    signer_release(&made);
    assert_true(is_refused(&bed, &options, "tls-key-file", "is encrypted"));
    options.key_pass = "other";
    assert_true(is_refused(&bed, &options, "tls-key-file", "cannot be used"));
    options.key_pass = "sesame";
    is_good(&bed, &options);
    tls_bed_close(&bed);
}

/* Every file of it that holds certificates, by whatever name. */
TEST(real_tls_files, a_directory_of_authorities_is_read_whole)
{
    struct tls_bed bed;
    tls_bed_open_as(&bed, "a", "foreign");
    char directory[PLACE_BYTES * 2];
    (void)snprintf(directory, sizeof directory, "%s/authorities", bed.place.path);
    assert_int_equal(mkdir(directory, 0700), 0);
    struct real_tls_options options = tls_bed_options(&bed, "a");
    options.ca_file = "";
    options.ca_dir = directory;
    assert_true(is_refused(&bed, &options, "tls-ca-cert-dir", "no file in it"));
    signer_write(&bed.foreign, place_path(&bed.place, "authorities/one"), NULL, NULL);
    options = tls_bed_options(&bed, "a"); /* ours, out of the file */
    options.ca_dir = directory;
    FILE *note = fopen(place_path(&bed.place, "authorities/README"), "w");
    assert_non_null(note);
    assert_true(fputs("no certificate\n", note) >= 0);
    assert_int_equal(fclose(note), 0);
    assert_int_equal(real_tls_reload(bed.server, &options, &bed.why), ERR_OK);
    assert_true(tls_bed_said(&bed, "authorities=2"));
    options = tls_bed_options(&bed, "foreign");
    assert_int_equal(real_tls_reload(bed.client, &options, &bed.why), ERR_OK);
    tls_bed_meet(&bed); /* of two authorities */
    tls_bed_close(&bed);
}

TEST(real_tls_files, what_others_will_refuse_is_told_at_once)
{
    struct tls_bed bed;
    tls_bed_open_as(&bed, "a", "b");
    assert_true(tls_bed_said(&bed, "tls certificates_read own=\"/CN=a\" until=20"));
    assert_false(tls_bed_said(&bed, "own_certificate_bad"));
    struct real_tls_options options = tls_bed_options(&bed, "expired");
    is_good(&bed, &options);
    assert_true(tls_bed_said(
        &bed, "3 tls own_certificate_bad own=\"/CN=expired\" why=\"certificate has expired\""));
    options = tls_bed_options(&bed, "foreign");
    is_good(&bed, &options);
    assert_true(tls_bed_said(&bed, "tls own_certificate_bad own=\"/CN=foreign\""));
    tls_bed_close(&bed);
}

TEST(real_tls_files, a_name_cannot_break_a_line_of_the_log)
{
    struct signer made;
    char shown[16];
    signer_make(&made, "a\" b=\"\n", NULL, -DAY, DAY);
    tls_subject(made.certificate, shown, sizeof shown);
    assert_string_equal(shown, "/CN=a? b=?\\x0A");
    tls_subject(NULL, shown, sizeof shown);
    assert_string_equal(shown, "");
    signer_release(&made);
}

TEST(real_tls_files, files_are_read_anew_for_later_connections_and_only_if_they_are_good)
{
    struct tls_bed bed;
    tls_bed_open(&bed);
    tls_bed_meet(&bed);
    struct real_tls_options options = tls_bed_options(&bed, "foreign");
    assert_int_equal(real_tls_reload(bed.client, &options, &bed.why), ERR_OK);
    tls_end_send(&bed.called, bytes_text("still here")); /* what is open goes on */
    TLS_BED_UNTIL(&bed, bed.accepted.got.size == 10);
    tls_end_close(&bed.called, false);
    TLS_BED_UNTIL(&bed, bed.accepted.ended == 1);
    tls_end_close(&bed.accepted, false);
    tls_bed_dial(&bed);
    TLS_BED_UNTIL(&bed, bed.server->guard.refused == 1 && bed.client->guard.refused == 1);
    tls_end_close(&bed.called, false);
    options = tls_bed_options(&bed, "b");
    assert_int_equal(real_tls_reload(bed.client, &options, &bed.why), ERR_OK);
    options.key_file = place_path(&bed.place, "a.key");
    assert_int_equal(real_tls_reload(bed.client, &options, &bed.why), ERR_CONFIG);
    tls_bed_meet(&bed); /* with what was good before */
    tls_bed_close(&bed);
}
