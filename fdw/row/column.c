/*
 * Finds, for a stored type and a column's type, the receive function and the cast that lead from
 * one to the other, and remembers them, since most rows of a table have the same.
 */
#include "fdw/row/column.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "fdw/base/compat.h"
#include "fdw/row/named_value.h"

/* What the column's own type demands of values that were not made by it. */
struct ColumnFit
{
    int32 typmod; /* -1: none */
    FmgrInfo length_cast;
    bool is_domain;
    void *domain_state;
};

/* How bytes of one stored type become the column's type: receive, cast, fit. */
struct ColumnReader
{
    ColumnReader *next;
    uint32 stored_oid;
    Slice stored_name;
    Oid named; /* the stored type, when that is an enum or a composite type */
    FmgrInfo receive;
    Oid receive_param;
    int32 receive_typmod;
    bool has_cast;
    FmgrInfo cast;
    bool has_own_type; /* receive has applied the typmod and checked the domain */
};

static void
column_read_missing(ColumnCodec *codec)
{
    const DataColumn *column = codec->column;
    Oid input;
    Oid parameter;

    codec->has_missing = column->missing != NULL;
    if (!codec->has_missing)
        return;
    getTypeInputInfo(column->element_type, &input, &parameter);
    codec->missing =
        OidInputFunctionCall(input, pstrdup(column->missing), parameter, column->typmod);
}

void
column_codec_init(ColumnCodec *codec, const DataColumn *column)
{
    Oid send;
    Oid receive;
    Oid ignored_param;
    bool ignored_varlena;

    memset(codec, 0, sizeof(*codec));
    codec->column = column;
    codec->context = CurrentMemoryContext;
    get_typlenbyvalalign(column->element_type, &codec->length, &codec->by_value, &codec->align);
    getTypeBinaryOutputInfo(column->element_type, &send, &ignored_varlena);
    getTypeBinaryInputInfo(column->element_type, &receive, &ignored_param);
    fmgr_info(send, &codec->send);
    codec->is_named = named_value_is_of(getBaseType(column->element_type));
    initStringInfo(&codec->scratch);
    column_read_missing(codec);
}

ValueColumn
column_encode_null(const ColumnCodec *codec)
{
    const DataColumn *column = codec->column;

    return (ValueColumn){
        .name = slice_from_string(column->name),
        .type_oid = column->stored_oid,
        .type_name = slice_from_string(column->stored_type),
        .is_null = true,
    };
}

ValueColumn
column_encode(ColumnCodec *codec, Datum value)
{
    ValueColumn encoded = column_encode_null(codec);
    bytea *sent;

    encoded.is_null = false;
    if (codec->is_named)
    {
        StringInfoData named;

        initStringInfo(&named);
        named_value_send(getBaseType(codec->column->element_type), value, &named);
        encoded.data = slice_make(named.data, (size_t)named.len);
        return encoded;
    }
    sent = SendFunctionCall(&codec->send, value);
    encoded.data = slice_make(VARDATA(sent), VARSIZE(sent) - VARHDRSZ);
    return encoded;
}

/* ---- fitting ---- */

static struct ColumnFit *
column_fit_new(ColumnCodec *codec)
{
    const DataColumn *column = codec->column;
    struct ColumnFit *fit = MemoryContextAllocZero(codec->context, sizeof(struct ColumnFit));
    Oid base;
    Oid function;

    fit->typmod = column->typmod;
    base = getBaseTypeAndTypmod(column->element_type, &fit->typmod);
    fit->is_domain = base != column->element_type;
    if (fit->typmod >= 0 && find_typmod_coercion_function(base, &function) == COERCION_PATH_FUNC)
        fmgr_info_cxt(function, &fit->length_cast, codec->context);
    else
        fit->typmod = -1;
    return fit;
}

/* A cast's second and third argument, where it takes them: typmod and "explicit". */
static Datum
column_cast(FmgrInfo *cast, Datum value, int32 typmod)
{
    if (cast->fn_nargs == 1)
        return FunctionCall1(cast, value);
    if (cast->fn_nargs == 2)
        return FunctionCall2(cast, value, Int32GetDatum(typmod));
    return FunctionCall3(cast, value, Int32GetDatum(typmod), BoolGetDatum(false));
}

Datum
column_fit(ColumnCodec *codec, Datum value, bool is_null)
{
    struct ColumnFit *fit = codec->fit;

    if (fit == NULL)
        fit = codec->fit = column_fit_new(codec);
    if (fit->typmod >= 0 && !is_null)
        value = column_cast(&fit->length_cast, value, fit->typmod);
    if (fit->is_domain)
        domain_check(value, is_null, codec->column->element_type, &fit->domain_state,
                     codec->context);
    return value;
}

/* ---- readers ---- */

static char *
column_stored_type_name(const ValueColumn *stored)
{
    if (stored->type_oid == 0)
        return pnstrdup((const char *)stored->type_name.data, stored->type_name.length);
    if (SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(stored->type_oid)))
        return format_type_be(stored->type_oid);
    return psprintf("with OID %u", stored->type_oid);
}

static void
column_refuse(const ColumnCodec *codec, const ValueColumn *stored)
{
    ereport(ERROR,
            (errcode(ERRCODE_DATATYPE_MISMATCH),
             errmsg("column \"%s\" of type %s%s cannot take a stored value of type %s",
                    codec->column->name, codec->column->type_name,
                    codec->column->is_array ? "[]" : "", column_stored_type_name(stored)),
             errhint("Declare the column with the stored type, or name another stored column with "
                     "option \"column_name\".")));
}

/*
 * The stored type in this database, or InvalidOid. A name that is no type's any more may have been
 * the column's: a type is renamed, or moves to another schema. Where the bytes tell what they are a
 * value of, that is tried.
 */
static Oid
column_stored_type(const ColumnCodec *codec, const ValueColumn *stored)
{
    const DataColumn *column = codec->column;
    Oid found;

    if (stored->type_oid != 0)
        return stored->type_oid < FirstGenbkiObjectId &&
                       SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(stored->type_oid))
                   ? stored->type_oid
                   : InvalidOid;
    if (column->stored_oid == 0 &&
        slice_equal(stored->type_name, slice_from_string(column->stored_type)))
        return getBaseType(column->element_type);
    found = compat_find_type(column_stored_type_name(stored));
    return !OidIsValid(found) && codec->is_named ? getBaseType(column->element_type) : found;
}

static void
column_reader_set_cast(ColumnCodec *codec, ColumnReader *reader, const ValueColumn *stored,
                       Oid stored_type)
{
    const DataColumn *column = codec->column;
    Oid base = getBaseType(column->element_type);
    Oid function;
    CoercionPathType path = find_coercion_pathway(base, stored_type, COERCION_IMPLICIT, &function);

    if (path != COERCION_PATH_RELABELTYPE && path != COERCION_PATH_FUNC)
        column_refuse(codec, stored);
    reader->has_cast = path == COERCION_PATH_FUNC;
    if (reader->has_cast)
        fmgr_info_cxt(function, &reader->cast, codec->context);
}

static ColumnReader *
column_reader_new(ColumnCodec *codec, const ValueColumn *stored)
{
    MemoryContext before = MemoryContextSwitchTo(codec->context);
    ColumnReader *reader = palloc0(sizeof(ColumnReader));
    Oid stored_type = column_stored_type(codec, stored);
    Oid receive;

    if (!OidIsValid(stored_type))
        column_refuse(codec, stored);
    reader->stored_oid = stored->type_oid;
    reader->stored_name = slice_make(column_stored_type_name(stored), stored->type_name.length);
    getTypeBinaryInputInfo(stored_type, &receive, &reader->receive_param);
    fmgr_info(receive, &reader->receive);
    reader->named = named_value_is_of(stored_type) ? stored_type : InvalidOid;
    reader->receive_typmod = -1;
    reader->has_own_type = stored_type == codec->column->element_type;
    if (reader->has_own_type)
        reader->receive_typmod = codec->column->typmod;
    else
        column_reader_set_cast(codec, reader, stored, stored_type);
    reader->next = codec->readers;
    codec->readers = reader;
    MemoryContextSwitchTo(before);
    return reader;
}

static ColumnReader *
column_reader_find(ColumnCodec *codec, const ValueColumn *stored)
{
    for (ColumnReader *reader = codec->readers; reader != NULL; reader = reader->next)
        if (reader->stored_oid == stored->type_oid &&
            (stored->type_oid != 0 || slice_equal(reader->stored_name, stored->type_name)))
            return reader;
    return column_reader_new(codec, stored);
}

Datum
column_decode(ColumnCodec *codec, const ValueColumn *stored)
{
    ColumnReader *reader = column_reader_find(codec, stored);
    StringInfo bytes = &codec->scratch;
    Datum value;

    /* A copy, because receive functions may count on the byte after the end. */
    resetStringInfo(bytes);
    appendBinaryStringInfo(bytes, (const char *)stored->data.data, (int)stored->data.length);
    value = OidIsValid(reader->named)
                ? named_value_receive(reader->named, bytes)
                : ReceiveFunctionCall(&reader->receive, bytes, reader->receive_param,
                                      reader->receive_typmod);
    if (bytes->cursor != bytes->len)
        ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                        errmsg("stored value of type %s has bytes left over",
                               column_stored_type_name(stored))));
    if (reader->has_cast)
        value = column_cast(&reader->cast, value, codec->column->typmod);
    return reader->has_own_type ? value : column_fit(codec, value, false);
}
