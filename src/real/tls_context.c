/* SPDX-License-Identifier: Apache-2.0 */
/* All files are read here and at once: OpenSSL would look into a directory of authorities again in
 * the middle of a handshake, on the loop, and ask a terminal for the password of a key. */
#include "real/tls_context.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, NAME_BYTES = 256 };

/* ---- Words for people ---- */

void tls_reason_take(struct tls_reason *reason)
{
    unsigned long error = ERR_get_error();
    const char *text = ERR_SYSTEM_ERROR(error) ? strerror(ERR_GET_REASON(error))
                                               : ERR_reason_error_string(error);
    reason->code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    (void)snprintf(reason->text, sizeof reason->text, "%s", text == NULL ? "no reason" : text);
    ERR_clear_error();
}

void tls_subject(const X509 *certificate, char *out, size_t size)
{
    char name[NAME_BYTES] = "";
    if (certificate != NULL)
        (void)X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof name);
    size_t used = 0;
    for (const char *at = name; *at != '\0' && used + 1 < size; at++)
        out[used++] = (unsigned char)*at < ' ' || *at == '"' || *at == '\x7f' ? '?' : *at;
    out[used] = '\0';
}

static enum err refuse(struct why *why, const char *directive, const char *path)
{
    struct tls_reason reason;
    tls_reason_take(&reason);
    return why_fail(why, ERR_CONFIG, "%s %s cannot be used: %s", directive, path, reason.text);
}

/* Says what a file that cannot be read at all lacks; OpenSSL's words for it are none. */
static enum err check_readable(const char *directive, const char *path, struct why *why)
{
    if (path[0] == '\0') return why_fail(why, ERR_CONFIG, "%s: is not given", directive);
    if (access(path, R_OK) == 0) return ERR_OK;
    return why_fail(why, ERR_CONFIG, "%s %s: %s", directive, path, strerror(errno));
}

/* ---- Certificate and key ---- */

struct password {
    const char *text;
    bool asked_for;
};

/* Never asks a terminal, as OpenSSL does on its own. */
static int give_password(char *out, int size, int writes, void *data)
{
    struct password *password = data;
    (void)writes;
    size_t length = strlen(password->text);
    password->asked_for = true;
    if (length == 0 || length > (size_t)size) return -1;
    memcpy(out, password->text, length);
    return (int)length;
}

static enum err take_key(SSL_CTX *context, const struct real_tls_options *options, struct why *why)
{
    const char *cert = options->cert_file, *key = options->key_file;
    struct password password = {.text = options->key_pass};
    enum err err = check_readable("tls-cert-file", cert, why);
    if (err == ERR_OK) err = check_readable("tls-key-file", key, why);
    if (err != ERR_OK) return err;
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &password);
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        err = refuse(why, "tls-cert-file", cert);
    else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
             SSL_CTX_check_private_key(context) != 1)
        err = refuse(why, "tls-key-file", key);
    if (err != ERR_OK && password.asked_for && password.text[0] == '\0')
        (void)why_fail(why, err, "tls-key-file %s is encrypted, and tls-key-file-pass is empty",
                       key);
    SSL_CTX_set_default_passwd_cb(context, NULL); /* nothing is read through it any more */
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    return err;
}

/* ---- Authorities ---- */

static int count_authorities(SSL_CTX *context)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(context)));
}

/* Every file of the directory that holds certificates; others are passed over. */
static enum err take_directory(SSL_CTX *context, const char *directory, struct why *why)
{
    DIR *open = opendir(directory);
    if (open == NULL)
        return why_fail(why, ERR_CONFIG, "tls-ca-cert-dir %s: %s", directory, strerror(errno));
    int before = count_authorities(context);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;) {
        char path[PATH_BYTES];
        struct stat facts;
        int size = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (size < 0 || (size_t)size >= sizeof path) continue;
        if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) continue;
        (void)X509_STORE_load_file(SSL_CTX_get_cert_store(context), path);
    }
    (void)closedir(open);
    ERR_clear_error();
    if (count_authorities(context) > before) return ERR_OK;
    return why_fail(why, ERR_CONFIG, "tls-ca-cert-dir %s: no file in it holds a new certificate",
                    directory);
}

static enum err take_authorities(SSL_CTX *context, const struct real_tls_options *options,
                                 struct why *why)
{
    const char *file = options->ca_file, *directory = options->ca_dir;
    if (file[0] == '\0' && directory[0] == '\0')
        return why_fail(why, ERR_CONFIG, "tls-ca-cert-file or tls-ca-cert-dir: neither is given");
    if (file[0] != '\0') {
        enum err err = check_readable("tls-ca-cert-file", file, why);
        if (err != ERR_OK) return err;
        if (SSL_CTX_load_verify_file(context, file) != 1)
            return refuse(why, "tls-ca-cert-file", file);
    }
    return directory[0] == '\0' ? ERR_OK : take_directory(context, directory, why);
}

/* ---- Versions ---- */

/* Words as Redis has them; empty: both. */
static enum err take_protocols(SSL_CTX *context, const char *words, struct why *why)
{
    bool two = false, three = false;
    for (const char *at = words; *at != '\0';) {
        size_t size = strcspn(at, " ,");
        if (size == 7 && strncasecmp(at, "TLSv1.2", size) == 0) two = true;
        else if (size == 7 && strncasecmp(at, "TLSv1.3", size) == 0) three = true;
        else if (size > 0)
            return why_fail(why, ERR_CONFIG,
                            "tls-protocols: only TLSv1.2 and TLSv1.3 are spoken, not %.*s",
                            (int)size, at);
        at += size;
        at += strspn(at, " ,");
    }
    bool any = !two && !three;
    int least = any || two ? TLS1_2_VERSION : TLS1_3_VERSION;
    int most = any || three ? TLS1_3_VERSION : TLS1_2_VERSION;
    if (SSL_CTX_set_min_proto_version(context, least) == 1 &&
        SSL_CTX_set_max_proto_version(context, most) == 1)
        return ERR_OK;
    return refuse(why, "tls-protocols", words);
}

/* ---- All of it ---- */

/* Whether these very authorities would take the own certificate for both ends of a connection:
 * the other copies' are most often the same. */
static const char *own_fault(SSL_CTX *context)
{
    static const int purposes[] = {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER};
    STACK_OF(X509) *chain = NULL;
    (void)SSL_CTX_get0_chain_certs(context, &chain);
    const char *fault = NULL;
    for (size_t i = 0; i < 2 && fault == NULL; i++) {
        X509_STORE_CTX *check = X509_STORE_CTX_new();
        if (check == NULL) break;
        if (X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context),
                                SSL_CTX_get0_certificate(context), chain) == 1 &&
            X509_STORE_CTX_set_purpose(check, purposes[i]) == 1 && X509_verify_cert(check) != 1)
            fault = X509_verify_cert_error_string(X509_STORE_CTX_get_error(check));
        X509_STORE_CTX_free(check);
    }
    ERR_clear_error();
    return fault;
}

static void tell(SSL_CTX *context, struct trace *trace)
{
    const X509 *own = SSL_CTX_get0_certificate(context);
    char subject[NAME_BYTES];
    struct tm until = {0};
    tls_subject(own, subject, sizeof subject);
    (void)ASN1_TIME_to_tm(X509_get0_notAfter(own), &until);
    trace_event(trace, TRACE_NOTICE, "tls", "certificates_read",
                "own=\"%s\" until=%04d-%02d-%02dT%02d:%02d:%02dZ authorities=%d", subject,
                until.tm_year + 1900, until.tm_mon + 1, until.tm_mday, until.tm_hour, until.tm_min,
                until.tm_sec, count_authorities(context));
    const char *fault = own_fault(context);
    if (fault == NULL) return;
    trace_event(trace, TRACE_WARNING, "tls", "own_certificate_bad", "own=\"%s\" why=\"%s\"",
                subject, fault);
}

enum err tls_context_open(SSL_CTX **out, const struct real_tls_options *options,
                          struct trace *trace, struct why *why)
{
    *out = NULL;
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL) return refuse(why, "tls-replication", "yes");
    (void)SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    /* Nothing is resumed, so every connection shows its certificates anew. */
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    enum err err = take_protocols(context, options->protocols, why);
    if (err == ERR_OK) err = take_key(context, options, why);
    if (err == ERR_OK) err = take_authorities(context, options, why);
    if (err != ERR_OK) {
        SSL_CTX_free(context);
        return err;
    }
    tell(context, trace);
    *out = context;
    return ERR_OK;
}
