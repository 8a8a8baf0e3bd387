/*
 * Writes the lines of EXPLAIN for a scan and a batched join. What it prints with ANALYZE was
 * counted by the requests themselves (fdw/cluster/counters.h).
 */
#include "fdw/run/explain.h"

#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

#include "fdw/base/compat.h"
#include "fdw/cluster/links.h"
#include "fdw/run/scan.h"

/* The aggregates by column, as they would stand in a query. */
static char *
explain_aggregates(const RelationInfo *info)
{
    StringInfoData text;

    initStringInfo(&text);
    for (int i = 0; i < info->data_count; i++)
        appendStringInfo(&text, "%s%s(%s)", i > 0 ? ", " : "", info->data[i].aggregate.name,
                         quote_identifier(get_attname(info->relid, info->data[i].attnum, false)));
    return text.data;
}

void
explain_conflict(const RelationInfo *info, ExplainState *es)
{
    static const char *const modes[] = {[CONFLICT_ERROR] = "error", [CONFLICT_LATEST] = "latest"};

    if (info->conflict == CONFLICT_FUNCTION)
        ExplainPropertyText("On Conflict", info->resolver.name, es);
    else if (info->conflict == CONFLICT_AGGREGATES)
        ExplainPropertyText("On Conflict", explain_aggregates(info), es);
    else if (info->conflict != CONFLICT_SIBLINGS)
        ExplainPropertyText("On Conflict", modes[info->conflict], es);
}

void
explain_bucket(const RelationInfo *info, ExplainState *es)
{
    static const char *const labels[RELATION_QUORUMS] = {"R", "W", "PR", "PW", "Node Confirms"};
    bool is_text = es->format == EXPLAIN_FORMAT_TEXT;
    StringInfoData line;

    initStringInfo(&line);
    appendStringInfo(&line, "N=%u", info->n);
    if (es->verbose)
        ExplainPropertyText("Bucket", info->bucket, es);
    if (!is_text)
        ExplainPropertyUInteger("N", NULL, info->n, es);
    for (int i = 0; i < RELATION_QUORUMS; i++)
    {
        uint32 quorum = relation_quorum(info, i);

        if (!is_text)
            ExplainPropertyUInteger(labels[i], NULL, quorum, es);
        else if (quorum > 0)
            appendStringInfo(&line, " %s=%u", labels[i], quorum);
    }
    if (is_text)
        ExplainPropertyText("Quorum", line.data, es);
}

typedef struct ExplainCounter
{
    const char *label;
    uint64 value;
} ExplainCounter;

/* As the line of buffers: what is zero is left out, but for the first. */
static void
explain_counters_line(const ExplainCounter *rows, int count, ExplainState *es)
{
    appendStringInfoSpaces(es->str, es->indent * 2);
    for (int i = 0; i < count; i++)
        if (i == 0 || rows[i].value > 0)
            appendStringInfo(es->str, "%s%s: " UINT64_FORMAT, i == 0 ? "" : "  ", rows[i].label,
                             rows[i].value);
    appendStringInfoChar(es->str, '\n');
}

/* Each node by its address, with the frames it was sent. */
static void
explain_nodes(const Counters *counters, ExplainState *es)
{
    StringInfoData line;

    initStringInfo(&line);
    for (int i = 0; i < counters->node_count; i++)
        appendStringInfo(&line, "%s%s " UINT64_FORMAT, i > 0 ? ", " : "",
                         links_node_endpoint(counters->nodes[i].node), counters->nodes[i].frames);
    if (counters->node_count > 0)
        ExplainPropertyText("Nodes Asked", line.data, es);
}

void
explain_counters(const Counters *counters, ExplainState *es)
{
    const ExplainCounter rows[] = {
        {"Requests",   counters->requests  },
        {"Keys Asked", counters->keys      },
        {"Pages",      counters->pages     },
        {"Frames",     counters->frames    },
        {"Mismatches", counters->mismatches},
        {"Hedges",     counters->hedges    },
        {"Failovers",  counters->failovers },
        {"Fallbacks",  counters->fallbacks },
        {"Backoffs",   counters->backoffs  },
        {"Own Writes", counters->own_writes},
    };

    if (es->format == EXPLAIN_FORMAT_TEXT)
        explain_counters_line(rows, lengthof(rows), es);
    else
        for (int i = 0; i < lengthof(rows); i++)
            ExplainPropertyUInteger(rows[i].label, NULL, rows[i].value, es);
    explain_nodes(counters, es);
}

/* ---- the condition ---- */

static bool explain_find(Plan *plan, const Plan *wanted, List **ancestors);

static bool
explain_find_in(List *plans, const Plan *wanted, List **ancestors)
{
    ListCell *cell;

    foreach (cell, plans)
        if (explain_find(lfirst(cell), wanted, ancestors))
            return true;
    return false;
}

static bool
explain_find_below(Plan *plan, const Plan *wanted, List **ancestors)
{
    switch (nodeTag(plan))
    {
    case T_Append:
        return explain_find_in(((Append *)plan)->appendplans, wanted, ancestors);
    case T_MergeAppend:
        return explain_find_in(((MergeAppend *)plan)->mergeplans, wanted, ancestors);
    case T_SubqueryScan:
        return explain_find(((SubqueryScan *)plan)->subplan, wanted, ancestors);
    case T_CustomScan:
        return explain_find_in(((CustomScan *)plan)->custom_plans, wanted, ancestors);
    default:
        return false;
    }
}

/* Collects the plans above wanted, nearest first: an outer row's column is found through them. */
static bool
explain_find(Plan *plan, const Plan *wanted, List **ancestors)
{
    if (plan == NULL)
        return false;
    if (plan == wanted)
        return true;
    if (!explain_find(outerPlan(plan), wanted, ancestors) &&
        !explain_find(innerPlan(plan), wanted, ancestors) &&
        !explain_find_below(plan, wanted, ancestors))
        return false;
    *ancestors = lappend(*ancestors, plan);
    return true;
}

static List *
explain_ancestors(const PlanState *node)
{
    PlannedStmt *statement = node->state->es_plannedstmt;
    List *ancestors = NIL;

    if (!explain_find(statement->planTree, node->plan, &ancestors))
        explain_find_in(statement->subplans, node->plan, &ancestors);
    return ancestors;
}

void
explain_condition(const char *label, List *clauses, Plan *plan, List *ancestors, ExplainState *es)
{
    Node *condition = (Node *)make_ands_explicit(copyObject(clauses));
    List *context = set_deparse_context_plan(es->deparse_cxt, plan, ancestors);
    bool prefix = list_length(es->rtable) > 1 || es->verbose;

    ExplainPropertyText(label, deparse_expression(condition, context, prefix, false), es);
}

void
dynamoExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
    ForeignScan *scan = castNode(ForeignScan, node->ss.ps.plan);

    if (scan->fdw_recheck_quals != NIL)
        explain_condition("Key Cond", scan->fdw_recheck_quals, &scan->scan.plan,
                          explain_ancestors(&node->ss.ps), es);
    explain_conflict(scan_source(node)->info, es);
    if (es->verbose || es->analyze)
        explain_bucket(scan_source(node)->info, es);
    if (es->analyze)
        explain_counters(&scan_source(node)->counters, es);
}
