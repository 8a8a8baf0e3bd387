/*
 * TLS of the server, over real sockets; libpq is the client.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "test/unit/node/server/server_fixture.h"

static void
on_query(void *ctx, Session *session, const char *sql)
{
    session_empty(session);
}

static void
on_frame(void *ctx, Session *session, Slice frame)
{
    session_send_frame(session, frame);
}

static const ServerHandler handler = {.query = on_query, .stream_frame = on_frame};

static void
make_certificate(const char *cert_file, const char *key_file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    FILE *file;

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    file = fopen(cert_file, "w");
    assert_int_equal(PEM_write_X509(file, cert), 1);
    fclose(file);
    file = fopen(key_file, "w");
    fchmod(fileno(file), 0600);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* A server with a certificate of its own, in files that exist while it starts. */
static Fixture *
start_with_tls(void)
{
    char dir[] = "/tmp/server_test_XXXXXX";
    char cert_file[64];
    char key_file[64];
    char settings[2][96];
    const char *list[] = {settings[0], settings[1], "ssl=on", NULL};
    Fixture *fixture;

    assert_non_null(mkdtemp(dir));
    snprintf(cert_file, sizeof(cert_file), "%s/cert", dir);
    snprintf(key_file, sizeof(key_file), "%s/key", dir);
    make_certificate(cert_file, key_file);
    snprintf(settings[0], sizeof(settings[0]), "ssl_cert_file=%s", cert_file);
    snprintf(settings[1], sizeof(settings[1]), "ssl_key_file=%s", key_file);
    fixture = fixture_start(&handler, NULL, list);
    unlink(cert_file);
    unlink(key_file);
    rmdir(dir);
    return fixture;
}

static void
frames_pass_over_tls(void **state)
{
    enum
    {
        LARGE = 3000000
    };
    Fixture *fixture = start_with_tls();
    PGconn *connection = fixture_connect(fixture, "shop", "secret", "sslmode=require");
    char *data = malloc(LARGE);
    char *got;
    PGresult *result;

    assert_non_null(data);
    memset(data, 'y', LARGE);
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    assert_int_equal(PQsslInUse(connection), 1);
    result = PQexec(connection, "STREAM 1");
    assert_int_equal(PQresultStatus(result), PGRES_COPY_BOTH);
    PQclear(result);
    assert_int_equal(PQputCopyData(connection, "small", 5), 1);
    assert_int_equal(PQputCopyData(connection, data, LARGE), 1);
    assert_int_equal(PQflush(connection), 0);
    assert_int_equal(PQgetCopyData(connection, &got, 0), 5);
    PQfreemem(got);
    fixture_expect_frame(connection, data, LARGE);
    free(data);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
tls_is_strict(void **state)
{
    Fixture *fixture = start_with_tls();
    PGconn *connection = fixture_connect(fixture, "shop", "wrong", "sslmode=require");
    int fd;
    char answer;
    Buffer all;

    assert_non_null(strstr(PQerrorMessage(connection), "password authentication failed"));
    PQfinish(connection);
    connection =
        fixture_connect(fixture, "shop", "secret", "sslmode=require channel_binding=require");
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    connection = fixture_connect(fixture, "shop", "secret",
                                 "sslmode=require ssl_max_protocol_version=TLSv1.1 "
                                 "ssl_min_protocol_version=TLSv1");
    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
    PQfinish(connection);
    connection = fixture_connect(fixture, "shop", "secret", "sslmode=disable");
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    fixture_assert_refused(fixture, FIXTURE_BYTES(FIXTURE_SSL_REQUEST FIXTURE_STARTUP),
                           "unencrypted data");
    fd = fixture_connect_raw(fixture);
    fixture_send(fd, FIXTURE_BYTES(FIXTURE_SSL_REQUEST));
    assert_int_equal(recv(fd, &answer, 1, 0), 1);
    assert_int_equal(answer, 'S');
    fixture_send(fd, FIXTURE_BYTES(FIXTURE_STARTUP));
    all = fixture_read_to_end(fd);
    assert_false(fixture_has_text(&all, "SCRAM"));
    buffer_free(&all);
    fixture_stop(fixture);
}

static Fixture *
start_with(const char *setting)
{
    const char *list[] = {setting, NULL};

    return fixture_start(&handler, NULL, list);
}

static void
a_node_makes_its_own_certificate_and_logins_are_bound_to_it(void **state)
{
    Fixture *fixture = start_with("ssl=on");
    PGconn *connection =
        fixture_connect(fixture, "shop", "secret", "sslmode=require channel_binding=require");

    if (PQstatus(connection) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(connection));
    PQfinish(connection);
    connection = fixture_connect(fixture, "shop", "wrong", "sslmode=require");
    assert_non_null(strstr(PQerrorMessage(connection), "password authentication failed"));
    PQfinish(connection);
    connection =
        fixture_connect(fixture, "shop", "secret", "sslmode=require channel_binding=disable");
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    fixture_stop(fixture);
}

static void
logins_in_clear_are_refused_where_tls_is_required(void **state)
{
    Fixture *fixture = start_with("ssl=required");
    PGconn *connection = fixture_connect(fixture, "shop", "secret", "sslmode=disable");

    assert_int_equal(PQstatus(connection), CONNECTION_BAD);
    assert_non_null(strstr(PQerrorMessage(connection), "over TLS alone"));
    PQfinish(connection);
    connection = fixture_connect(fixture, "shop", "secret", "sslmode=require");
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQfinish(connection);
    fixture_stop(fixture);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_pass_over_tls),
        cmocka_unit_test(tls_is_strict),
        cmocka_unit_test(a_node_makes_its_own_certificate_and_logins_are_bound_to_it),
        cmocka_unit_test(logins_in_clear_are_refused_where_tls_is_required),
    };

    signal(SIGPIPE, SIG_IGN);
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
