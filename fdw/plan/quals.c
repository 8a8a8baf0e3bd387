/*
 * Recognizes conditions that name a key. It must never take one for an equality that the key bytes
 * do not decide: then rows would be missing, and no recheck would bring them back.
 */
#include "fdw/plan/quals.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

#include "fdw/base/compat.h"
#include "fdw/row/keyset.h"

/* The key column that expr is, or -1. */
static int
quals_key_column(const QualsTable *table, Node *expr)
{
    const RelationInfo *info = table->info;
    Var *var;

    /* varchar columns are compared as text, domains as their base type. */
    while (expr != NULL && IsA(expr, RelabelType))
        expr = (Node *)((RelabelType *)expr)->arg;
    if (expr == NULL || !IsA(expr, Var))
        return -1;
    var = (Var *)expr;
    if (var->varno != (int)table->relid || var->varlevelsup != 0)
        return -1;
    for (int i = 0; i < info->key_count; i++)
        if (info->keys[i].attnum == var->varattno)
            return i;
    return -1;
}

/* True when a value of the type has at most one equal among the column's values, and key_part
 * finds it. */
static bool
quals_type_fits(const KeyColumn *key, Oid type)
{
    switch (key->type)
    {
    case KEY_INTEGER:
        return type == INT2OID || type == INT4OID || type == INT8OID;
    case KEY_TEXT:
        return type == TEXTOID;
    case KEY_DATE:
    case KEY_TIMESTAMP:
        return type == DATEOID || type == TIMESTAMPOID;
    case KEY_TIMESTAMPTZ:
        return type == DATEOID || type == TIMESTAMPOID || type == TIMESTAMPTZOID;
    default:
        return type == key->base_type;
    }
}

Oid
quals_opfamily(const KeyColumn *key)
{
    return lookup_type_cache(key->base_type, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
}

static bool
quals_is_equality(const KeyColumn *key, Oid operator_id, Oid collation)
{
    if (get_op_opfamily_strategy(operator_id, quals_opfamily(key)) != BTEqualStrategyNumber)
        return false;
    return key->type != KEY_TEXT ||
           (OidIsValid(collation) && get_collation_isdeterministic(collation));
}

static bool
quals_is_value(const QualsTable *table, Expr *expr)
{
    return !bms_is_member((int)table->relid, pull_varnos(table->root, (Node *)expr)) &&
           !contain_volatile_functions((Node *)expr);
}

/* key_side: 0 when the column stands left of the operator. */
static bool
quals_match_sides(const QualsTable *table, Oid operator_id, Oid collation, List *sides,
                  int key_side, KeyQual *qual)
{
    Oid types[2];
    int key_column = quals_key_column(table, list_nth(sides, key_side));

    if (key_column < 0 ||
        !quals_is_equality(&table->info->keys[key_column], operator_id, collation))
        return false;
    op_input_types(operator_id, &types[0], &types[1]);
    qual->key = key_column;
    qual->value = list_nth(sides, 1 - key_side);
    qual->value_type = types[1 - key_side];
    return quals_type_fits(&table->info->keys[key_column], qual->value_type) &&
           quals_is_value(table, qual->value);
}

static bool
quals_match_operator(const QualsTable *table, OpExpr *clause, KeyQual *qual)
{
    if (list_length(clause->args) != 2)
        return false;
    for (int side = 0; side < 2; side++)
        if (quals_match_sides(table, clause->opno, clause->inputcollid, clause->args, side, qual))
            return true;
    return false;
}

static bool
quals_match_any(const QualsTable *table, ScalarArrayOpExpr *clause, KeyQual *qual)
{
    qual->is_array = true;
    return clause->useOr &&
           quals_match_sides(table, clause->opno, clause->inputcollid, clause->args, 0, qual);
}

/* Makes the values of equalities with one column and of one type an array. */
static Expr *
quals_make_array(List *values, Oid value_type)
{
    ArrayExpr *array = makeNode(ArrayExpr);

    array->array_typeid = get_array_type(value_type);
    array->element_typeid = value_type;
    array->elements = values;
    array->location = -1;
    return (Expr *)array;
}

static bool
quals_match_or(const QualsTable *table, List *equalities, KeyQual *qual)
{
    List *values = NIL;
    ListCell *cell;

    foreach (cell, equalities)
    {
        KeyQual one = {0};

        if (!IsA(lfirst(cell), OpExpr) || !quals_match_operator(table, lfirst(cell), &one) ||
            (values != NIL && (one.key != qual->key || one.value_type != qual->value_type)))
            return false;
        qual->key = one.key;
        qual->value_type = one.value_type;
        values = lappend(values, one.value);
    }
    qual->value = quals_make_array(values, qual->value_type);
    qual->is_array = true;
    return true;
}

/* The planner turns `k = true` into `k`, and `k = false` into `NOT k`. */
static bool
quals_match_boolean(const QualsTable *table, Expr *clause, KeyQual *qual)
{
    bool negated = IsA(clause, BoolExpr) && ((BoolExpr *)clause)->boolop == NOT_EXPR;
    Node *column = negated ? linitial(((BoolExpr *)clause)->args) : (Node *)clause;

    qual->key = quals_key_column(table, column);
    qual->value = (Expr *)makeBoolConst(!negated, false);
    qual->value_type = BOOLOID;
    return qual->key >= 0 && table->info->keys[qual->key].type == KEY_BOOLEAN;
}

bool
quals_match(const QualsTable *table, Expr *clause, KeyQual *qual)
{
    *qual = (KeyQual){.clause = clause};
    if (IsA(clause, OpExpr))
        return quals_match_operator(table, (OpExpr *)clause, qual);
    if (IsA(clause, ScalarArrayOpExpr))
        return quals_match_any(table, (ScalarArrayOpExpr *)clause, qual);
    if (is_orclause(clause))
        return quals_match_or(table, ((BoolExpr *)clause)->args, qual);
    return quals_match_boolean(table, clause, qual);
}

/* Lists of several columns that are better checked row by row. */
static bool
quals_are_too_many(const QualsTable *table, const KeyQual *quals)
{
    int lists = 0;

    for (int i = 0; i < table->info->key_count; i++)
        lists += quals[i].is_array;
    return lists > 1 && quals_estimate_keys(table->root, table->info, quals) > KEYSET_PRODUCT_MAX;
}

KeyQual *
quals_choose(const QualsTable *table, List *clauses)
{
    KeyQual *chosen = palloc0(sizeof(KeyQual) * table->info->key_count);
    ListCell *cell;

    foreach (cell, clauses)
    {
        KeyQual qual;

        if (!quals_match(table, lfirst(cell), &qual))
            continue;
        if (chosen[qual.key].clause == NULL || (chosen[qual.key].is_array && !qual.is_array))
            chosen[qual.key] = qual;
    }
    for (int i = 0; i < table->info->key_count; i++)
        if (chosen[i].clause == NULL)
            return NULL;
    return quals_are_too_many(table, chosen) ? NULL : chosen;
}

Expr *
quals_column_first(const QualsTable *table, const KeyQual *qual)
{
    OpExpr *clause = (OpExpr *)qual->clause;

    if (!IsA(clause, OpExpr) || quals_key_column(table, linitial(clause->args)) >= 0 ||
        !OidIsValid(get_commutator(clause->opno)))
        return qual->clause;
    clause = copyObject(clause);
    CommuteOpExpr(clause);
    return (Expr *)clause;
}

double
quals_estimate_keys(PlannerInfo *root, const RelationInfo *info, const KeyQual *quals)
{
    double keys = 1;

    for (int i = 0; i < info->key_count; i++)
        if (quals[i].is_array)
            keys *= Max(compat_estimate_array_length(root, (Node *)quals[i].value), 1);
    return keys;
}
