/*
 * Writes and reads the forms that the header describes, attribute by attribute.
 */
#include "fdw/row/named_value.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

enum
{
    NULL_LENGTH = -1
};

/* An attribute as it is stored. */
typedef struct StoredAttribute
{
    int number;
    const char *name;
    Oid type; /* 0: none that is built in */
    int32 length;
    const char *bytes; /* in the message */
} StoredAttribute;

bool
named_value_is_of(Oid type)
{
    char kind = get_typtype(type);

    return kind == TYPTYPE_ENUM || kind == TYPTYPE_COMPOSITE;
}

static void
put_text(StringInfo out, const char *text)
{
    pq_sendint32(out, (uint32)strlen(text));
    appendBinaryStringInfo(out, text, (int)strlen(text));
}

static char *
take_text(StringInfo in)
{
    int length = (int)pq_getmsgint(in, 4);

    return pnstrdup(pq_getmsgbytes(in, length), length);
}

/* ---- enums ---- */

static void
send_enum(Datum value, StringInfo out)
{
    HeapTuple tuple = SearchSysCache1(ENUMOID, value);

    if (!HeapTupleIsValid(tuple))
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("invalid internal value for enum: %u", DatumGetObjectId(value))));
    pq_sendint32(out, DatumGetObjectId(value));
    put_text(out, NameStr(((Form_pg_enum)GETSTRUCT(tuple))->enumlabel));
    ReleaseSysCache(tuple);
}

/* The value of that OID, if it is one of the type; else InvalidOid. */
static Oid
find_enum_oid(Oid type, Oid oid)
{
    HeapTuple tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(oid));
    bool found = HeapTupleIsValid(tuple) && ((Form_pg_enum)GETSTRUCT(tuple))->enumtypid == type;

    if (HeapTupleIsValid(tuple))
        ReleaseSysCache(tuple);
    return found ? oid : InvalidOid;
}

static Datum
receive_enum(Oid type, StringInfo in)
{
    Oid oid = pq_getmsgint(in, 4);
    char *label = take_text(in);
    HeapTuple tuple = NULL;

    if (strlen(label) < NAMEDATALEN)
        tuple = SearchSysCache2(ENUMTYPOIDNAME, ObjectIdGetDatum(type), CStringGetDatum(label));
    if (HeapTupleIsValid(tuple))
    {
        oid = ((Form_pg_enum)GETSTRUCT(tuple))->oid;
        ReleaseSysCache(tuple);
    }
    else
        oid = find_enum_oid(type, oid);
    if (!OidIsValid(oid))
        ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
                        errmsg("stored value \"%s\" is not a label of enum %s", label,
                               format_type_be(type)),
                        errhint("Add the label with ALTER TYPE ... ADD VALUE, or rename an "
                                "existing label to it with ALTER TYPE ... RENAME VALUE.")));
    return ObjectIdGetDatum(oid);
}

/* ---- composite types ---- */

static Oid
built_in_type(Form_pg_attribute attribute)
{
    Oid type = getBaseType(attribute->atttypid);

    return type < FirstGenbkiObjectId ? type : InvalidOid;
}

static void
send_attribute(Form_pg_attribute attribute, Datum value, bool is_null, StringInfo out)
{
    Oid type = getBaseType(attribute->atttypid);
    int length_at;

    pq_sendint16(out, (uint16)attribute->attnum);
    put_text(out, NameStr(attribute->attname));
    pq_sendint32(out, built_in_type(attribute));
    length_at = out->len;
    pq_sendint32(out, (uint32)NULL_LENGTH);
    if (is_null)
        return;
    if (named_value_is_of(type))
        named_value_send(type, value, out);
    else
    {
        Oid send;
        bool is_varlena;
        bytea *sent;

        getTypeBinaryOutputInfo(attribute->atttypid, &send, &is_varlena);
        sent = OidSendFunctionCall(send, value);
        appendBinaryStringInfo(out, VARDATA(sent), (int)(VARSIZE(sent) - VARHDRSZ));
    }

    uint32 length = pg_hton32((uint32)(out->len - length_at - 4));

    memcpy(out->data + length_at, &length, sizeof(length));
}

static int
count_live(TupleDesc descriptor)
{
    int live = 0;

    for (int i = 0; i < descriptor->natts; i++)
        live += !TupleDescAttr(descriptor, i)->attisdropped;
    return live;
}

static void
send_composite(Datum value, StringInfo out)
{
    HeapTupleHeader header = (HeapTupleHeader)PG_DETOAST_DATUM(value);
    HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};
    TupleDesc descriptor =
        lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
    Datum *values = palloc(sizeof(Datum) * (size_t)Max(descriptor->natts, 1));
    bool *nulls = palloc(sizeof(bool) * (size_t)Max(descriptor->natts, 1));

    ItemPointerSetInvalid(&tuple.t_self);
    heap_deform_tuple(&tuple, descriptor, values, nulls);
    pq_sendint32(out, (uint32)count_live(descriptor));
    for (int i = 0; i < descriptor->natts; i++)
        if (!TupleDescAttr(descriptor, i)->attisdropped)
            send_attribute(TupleDescAttr(descriptor, i), values[i], nulls[i], out);
    ReleaseTupleDesc(descriptor);
}

static StoredAttribute
take_attribute(StringInfo in)
{
    StoredAttribute stored = {.number = (int)pq_getmsgint(in, 2)};

    stored.name = take_text(in);
    stored.type = pq_getmsgint(in, 4);
    stored.length = (int32)pq_getmsgint(in, 4);
    if (stored.length != NULL_LENGTH)
        stored.bytes = pq_getmsgbytes(in, stored.length);
    return stored;
}

static Form_pg_attribute
find_by_name(TupleDesc descriptor, const char *name)
{
    for (int i = 0; i < descriptor->natts; i++)
    {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);

        if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
            return attribute;
    }
    return NULL;
}

/* An attribute of that name with another number and type was dropped, and this one added since. */
static bool
is_of_that_name(Form_pg_attribute attribute, const StoredAttribute *stored)
{
    return strcmp(stored->name, NameStr(attribute->attname)) == 0 &&
           (stored->number == attribute->attnum || stored->type == built_in_type(attribute));
}

/* What is stored of the attribute, or NULL. */
static const StoredAttribute *
find_stored(TupleDesc descriptor, Form_pg_attribute attribute, const StoredAttribute *stored,
            int count)
{
    for (int i = 0; i < count; i++)
        if (is_of_that_name(attribute, &stored[i]))
            return &stored[i];
    for (int i = 0; i < count; i++)
        if (stored[i].number == attribute->attnum &&
            find_by_name(descriptor, stored[i].name) == NULL)
            return &stored[i];
    return NULL;
}

static Datum
receive_attribute(Form_pg_attribute attribute, const StoredAttribute *stored)
{
    Oid type = getBaseType(attribute->atttypid);
    StringInfoData bytes;
    Datum value;
    Oid receive;
    Oid parameter;

    if (stored->type != built_in_type(attribute))
        ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                        errmsg("attribute \"%s\" of type %s cannot take a stored value of another "
                               "type",
                               NameStr(attribute->attname), format_type_be(attribute->atttypid))));
    /* A copy, because receive functions may count on the byte after the end. */
    initStringInfo(&bytes);
    appendBinaryStringInfo(&bytes, stored->bytes, stored->length);
    if (named_value_is_of(type))
        value = named_value_receive(type, &bytes);
    else
    {
        getTypeBinaryInputInfo(attribute->atttypid, &receive, &parameter);
        value = OidReceiveFunctionCall(receive, &bytes, parameter, attribute->atttypmod);
    }
    if (bytes.cursor != bytes.len)
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("stored value of attribute \"%s\" has bytes left over",
                               NameStr(attribute->attname))));
    return value;
}

static StoredAttribute *
take_attributes(StringInfo in, int *count)
{
    StoredAttribute *stored;

    *count = (int)pq_getmsgint(in, 4);
    if (*count < 0 || *count > MaxTupleAttributeNumber)
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("stored value has a wrong number of attributes: %d", *count)));
    stored = palloc(sizeof(StoredAttribute) * (size_t)Max(*count, 1));
    for (int i = 0; i < *count; i++)
        stored[i] = take_attribute(in);
    return stored;
}

static Datum
receive_composite(Oid type, StringInfo in)
{
    TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
    Datum *values = palloc0(sizeof(Datum) * (size_t)Max(descriptor->natts, 1));
    bool *nulls = palloc(sizeof(bool) * (size_t)Max(descriptor->natts, 1));
    int count;
    StoredAttribute *stored = take_attributes(in, &count);

    for (int i = 0; i < descriptor->natts; i++)
    {
        Form_pg_attribute attribute = TupleDescAttr(descriptor, i);
        const StoredAttribute *found =
            attribute->attisdropped ? NULL : find_stored(descriptor, attribute, stored, count);

        nulls[i] = found == NULL || found->length == NULL_LENGTH;
        if (!nulls[i])
            values[i] = receive_attribute(attribute, found);
    }
    return HeapTupleGetDatum(heap_form_tuple(descriptor, values, nulls));
}

/* ---- both ---- */

void
named_value_send(Oid type, Datum value, StringInfo out)
{
    check_stack_depth();
    if (get_typtype(type) == TYPTYPE_ENUM)
        send_enum(value, out);
    else
        send_composite(value, out);
}

Datum
named_value_receive(Oid type, StringInfo in)
{
    check_stack_depth();
    return get_typtype(type) == TYPTYPE_ENUM ? receive_enum(type, in) : receive_composite(type, in);
}
