#include "pg/spi.hpp"

#include "pg/compat.hpp"

#include <unordered_map>

namespace attribution::pg {

namespace {

/// A statement that is kept.
struct Kept {
  SPIPlanPtr plan = nullptr;
  TimestampTz prepared_at = 0;
};
/// Never destroyed: the process's end is not the place to run destructors.
std::unordered_map<std::string, Kept> &kept_plans() {
  static auto *plans = new std::unordered_map<std::string, Kept>;
  return *plans;
}
/// A rule takes about twenty; the query trees of one take some 50 kB, a plan over many partitions more.
constexpr std::size_t kMostKept = 200;
/// What was planned once is planned again after so long: tables grow unnoticed until they are analyzed.
constexpr std::int64_t kPlanLasts = 60'000'000;
/// Those that others have taken the place of, in a stretch that may still run them.
std::vector<SPIPlanPtr> &replaced_plans() {
  static auto *plans = new std::vector<SPIPlanPtr>;
  return *plans;
}
int stretches = 0;

struct Receiver {
  explicit Receiver(RowReceiver &receiver);
  DestReceiver base{}; // must be first: PostgreSQL knows this part alone
  RowReceiver *rows;
};

bool receive(TupleTableSlot *slot, DestReceiver *self) {
  slot_getallattrs(slot);
  return reinterpret_cast<Receiver *>(self)->rows->row(slot);
}
void start(DestReceiver *, int, TupleDesc) {}
void nothing(DestReceiver *) {}

Receiver::Receiver(RowReceiver &receiver) : rows(&receiver) {
  base.receiveSlot = receive;
  base.rStartup = start;
  base.rShutdown = nothing;
  base.rDestroy = nothing;
  base.mydest = DestNone;
}

/// Parameters as a cursor wants them.
struct Values {
  explicit Values(const std::vector<Param> &params) {
    for (const Param &param : params) {
      values.push_back(param.value);
      nulls.push_back(param.null ? 'n' : ' ');
    }
  }
  std::vector<Datum> values;
  std::vector<char> nulls;
};

/// Inside call(). Never none: without any, PostgreSQL would keep a plan that is to be made each time.
ParamListInfo list_of(SPIPlanPtr plan, const std::vector<Param> &params) {
  ParamListInfo list = makeParamList(static_cast<int>(params.size()));
  for (std::size_t i = 0; i < params.size(); ++i)
    list->params[i] = {params[i].value, params[i].null, PARAM_FLAG_CONST, SPI_getargtypeid(plan, static_cast<int>(i))};
  return list;
}

bool are_valid(SPIPlanPtr plan) {
  ListCell *source = nullptr;
  foreach (source, SPI_plan_get_plan_sources(plan))
    if (!static_cast<CachedPlanSource *>(lfirst(source))->is_valid)
      return false;
  return true;
}

/// Whether nothing that a statement names has changed since it was parsed. PostgreSQL would see to that at its next
/// run; we look into its query tree before.
bool is_valid(SPIPlanPtr plan) {
  return call([plan] { return are_valid(plan); });
}

/// What the present user may not see of what a statement reads.
struct Reading {
  Oid hidden;  ///< a relation whose row security applies, or none
  bool unsure; ///< whether there is more to read than the query tree says: functions that the planner opens up
};

/// Checks the permissions of a query, or of a plan, itself.
template <class Statement> void check_statement(Statement *statement, Reading &reading) {
  check_permissions(statement);
  ListCell *cell = nullptr;
  foreach (cell, statement->rtable) {
    Oid as_user = InvalidOid;
    const Oid relation = checked_relation(statement, lfirst_node(RangeTblEntry, cell), &as_user);
    if (OidIsValid(relation) && !OidIsValid(as_user) && check_enable_rls(relation, GetUserId(), true) == RLS_ENABLED)
      reading.hidden = relation;
  }
}

/// Locks what the queries of a tree, and theirs, read, and checks them.
bool check_queries(Node *node, void *context) {
  if (node == nullptr)
    return false;
  if (IsA(node, Query)) {
    Query *query = castNode(Query, node);
    Reading &reading = *static_cast<Reading *>(context);
    ListCell *cell = nullptr;
    foreach (cell, query->rtable) {
      const RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
      if (OidIsValid(entry->relid))
        LockRelationOid(entry->relid, AccessShareLock);
      ListCell *function = nullptr;
      foreach (function, entry->functions) {
        const Node *call = lfirst_node(RangeTblFunction, function)->funcexpr;
        reading.unsure = reading.unsure || !IsA(call, FuncExpr) ||
                         reinterpret_cast<const FuncExpr *>(call)->funcid >= static_cast<Oid>(FirstNormalObjectId);
      }
    }
    check_statement(query, reading);
  }
  return walk_expression(node, check_queries, context);
}

bool is_unsafe_function(Oid function, void *) { return func_parallel(function) != PROPARALLEL_SAFE; }

/// Whether there is something in a query tree that only one process can run. (max_parallel_hazard() takes every
/// subquery in an expression for such.)
bool needs_one_process(Node *node, void *context) {
  if (node == nullptr)
    return false;
  if (IsA(node, Query)) {
    const Query *query = castNode(Query, node);
    if (query->commandType != CMD_SELECT || query->rowMarks != NIL)
      return true;
    ListCell *cell = nullptr;
    foreach (cell, query->rtable) {
      const RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);
      if (entry->rtekind == RTE_RELATION &&
          (entry->relkind == RELKIND_FOREIGN_TABLE || get_rel_persistence(entry->relid) == RELPERSISTENCE_TEMP))
        return true;
    }
  } else if (IsA(node, CoerceToDomain) || check_functions_in_node(node, is_unsafe_function, nullptr))
    return true; // a domain's constraints may call whatever they like
  return walk_expression(node, needs_one_process, context);
}

SPIPlanPtr prepare(const std::string &sql, const std::vector<Oid> &types, int planning) {
  SPIPlanPtr plan = call([&] {
    return SPI_prepare_cursor(sql.c_str(), static_cast<int>(types.size()), const_cast<Oid *>(types.data()),
                              planning | CURSOR_OPT_PARALLEL_OK | CURSOR_OPT_NO_SCROLL);
  });
  if (plan == nullptr)
    throw Error(ERRCODE_INTERNAL_ERROR,
                "could not prepare a query: " + std::string(SPI_result_code_string(SPI_result)));
  return plan;
}

} // namespace

void Spi::take(TupleDesc shape, Tuplestorestate *rows, double expected) {
  if (given_ == nullptr)
    call([this] {
      MemoryContext outer = MemoryContextSwitchTo(memory_);
      auto *given = static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
      given->md.name = pstrdup("?given");
      given->md.reliddesc = InvalidOid;
      given->md.enrtype = ENR_NAMED_TUPLESTORE;
      if (const int result = SPI_register_relation(given); result < 0)
        elog(ERROR, "could not give rows to statements: %s", SPI_result_code_string(result));
      MemoryContextSwitchTo(outer);
      given_ = given;
    });
  given_->md.tupdesc = shape;
  given_->md.enrtuples = expected;
  given_->reldata = rows;
}

Plan::Plan(const std::string &sql, const std::vector<Oid> &types)
    : plan_(prepare(sql, types, CURSOR_OPT_CUSTOM_PLAN)) {}

Plan Plan::kept(const std::string &sql, const std::vector<Oid> &types, Planning planning) {
  if (stretches != 1)
    return Plan(sql, types);
  const bool once = planning == Planning::once;
  std::string key = sql;
  key.append(reinterpret_cast<const char *>(types.data()), types.size() * sizeof(Oid));
  key += once ? '1' : '*';
  Kept &entry = kept_plans()[key];
  const TimestampTz now = GetCurrentTimestamp();
  const bool old = once && (now < entry.prepared_at || now - entry.prepared_at > kPlanLasts);
  if (entry.plan == nullptr || old || !is_valid(entry.plan)) {
    SPIPlanPtr plan = prepare(sql, types, once ? CURSOR_OPT_GENERIC_PLAN : CURSOR_OPT_CUSTOM_PLAN);
    if (SPIPlanPtr gone = std::exchange(entry.plan, nullptr))
      replaced_plans().push_back(gone);
    call([&] { SPI_keepplan(plan); });
    entry = {plan, now};
  }
  Plan plan;
  plan.plan_ = entry.plan;
  plan.kept_ = true;
  return plan;
}

KeptPlans::KeptPlans() {
  if (stretches == 0) {
    for (SPIPlanPtr plan : replaced_plans())
      call([plan] { SPI_freeplan(plan); });
    replaced_plans().clear();
  }
  if (stretches == 0 && kept_plans().size() > kMostKept) {
    for (auto &[key, entry] : kept_plans())
      call([plan = entry.plan] { SPI_freeplan(plan); });
    kept_plans().clear();
  }
  ++stretches;
}

KeptPlans::~KeptPlans() { --stretches; }

void Plan::run(const std::vector<Param> &params, RowReceiver &receiver) const {
  Receiver destination(receiver);
  const int result = call([&] {
    SPIExecuteOptions options{};
    options.params = list_of(plan_, params);
    options.read_only = true;
    options.dest = &destination.base;
    return SPI_execute_plan_extended(plan_, &options);
  });
  if (result < 0)
    throw Error(ERRCODE_INTERNAL_ERROR, "could not run a query: " + std::string(SPI_result_code_string(result)));
}

Rows Plan::execute(const std::vector<Param> &params, bool in_active_snapshot) const {
  const int result = call([&] {
    SPIExecuteOptions options{};
    options.params = list_of(plan_, params);
    options.read_only = in_active_snapshot;
    return SPI_execute_plan_extended(plan_, &options);
  });
  if (result < 0)
    throw Error(ERRCODE_INTERNAL_ERROR, "could not run a query: " + std::string(SPI_result_code_string(result)));
  return {SPI_tuptable, SPI_processed};
}

void Plan::let_go() const {
  if (!kept_)
    call([this] { SPI_freeplan(plan_); });
}

void Plan::expect(const std::vector<Oid> &types) const {
  for (std::size_t i = 0; i < types.size(); ++i) {
    const char *wrong = call([&]() -> const char * {
      TupleDesc shape = static_cast<CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan_)))->resultDesc;
      Form_pg_attribute column = TupleDescAttr(shape, static_cast<int>(i));
      return column->atttypid == types[i] ? nullptr
                                          : psprintf("column \"%s\" is of type %s, not %s", NameStr(column->attname),
                                                     format_type_be(column->atttypid), format_type_be(types[i]));
    });
    if (wrong != nullptr)
      throw Error(ERRCODE_DATATYPE_MISMATCH, "a table that keeps decisions has been altered", std::string(wrong) + ".",
                  "Put it back, or drop the rule and make it again.");
  }
}

Type Plan::result_type() const {
  return call([&] {
    TupleDesc shape = static_cast<CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan_)))->resultDesc;
    return Type::of(TupleDescAttr(shape, 0)->atttypid, TupleDescAttr(shape, 0)->attcollation);
  });
}

const Query *Plan::query() const {
  return call([&] {
    const auto *source = static_cast<const CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan_)));
    return linitial_node(Query, source->query_list);
  });
}

bool Plan::is_immutable() const {
  return call([&] {
    ListCell *source = nullptr;
    foreach (source, SPI_plan_get_plan_sources(plan_)) {
      ListCell *query = nullptr;
      foreach (query, static_cast<CachedPlanSource *>(lfirst(source))->query_list) {
        Query *tree = static_cast<Query *>(lfirst(query));
        if (tree->hasSubLinks || contain_mutable_functions(static_cast<Node *>(lfirst(query))))
          return false;
      }
    }
    return true;
  });
}

bool Plan::is_parallel_safe() const {
  return call([&] {
    ListCell *source = nullptr;
    foreach (source, SPI_plan_get_plan_sources(plan_)) {
      List *queries = static_cast<CachedPlanSource *>(lfirst(source))->query_list;
      if (needs_one_process(reinterpret_cast<Node *>(queries), nullptr))
        return false;
    }
    return true;
  });
}

void Plan::check_reader(Oid role) const {
  if (role == GetUserId())
    return; // the executor checks it
  const Oid hidden = call([&] {
    Oid user = InvalidOid;
    int context = 0;
    GetUserIdAndSecContext(&user, &context);
    SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE);
    // The queries say it all, as a rule, and planning them would take longer than running them for a few conversions.
    Reading reading{InvalidOid, false};
    ListCell *source = nullptr;
    foreach (source, SPI_plan_get_plan_sources(plan_))
      check_queries(reinterpret_cast<Node *>(static_cast<CachedPlanSource *>(lfirst(source))->query_list), &reading);
    if (reading.unsure || !are_valid(plan_)) {
      SetUserIdAndSecContext(user, context);
      CachedPlan *cached = SPI_plan_get_cached_plan(plan_);
      if (cached == nullptr)
        elog(ERROR, "a plan of several statements");
      SetUserIdAndSecContext(role, context | SECURITY_LOCAL_USERID_CHANGE);
      ListCell *cell = nullptr;
      foreach (cell, cached->stmt_list)
        check_statement(lfirst_node(PlannedStmt, cell), reading);
      ReleaseCachedPlan(cached, kept_ ? CurrentResourceOwner : nullptr); // whose the reference is depends on that
    }
    SetUserIdAndSecContext(user, context);
    return reading.hidden;
  });
  if (OidIsValid(hidden)) {
    const char *name = call([&] {
      return quote_qualified_identifier(get_namespace_name(get_rel_namespace(hidden)), get_rel_name(hidden));
    });
    const char *reader = call([&] { return GetUserNameFromId(role, false); });
    throw Error(ERRCODE_INSUFFICIENT_PRIVILEGE,
                "row security of relation " + std::string(name) + " applies to role " + quoted(reader),
                "A rule reads with its owner's rights, which would show rows that the policies hide from this role.",
                "Read as the rule's owner or as a role that bypasses row security, or grant access to what the owner "
                "stores for others.");
  }
}

void Plan::refuse_volatile(const std::string &what) const {
  const bool is_volatile = call([&] {
    ListCell *source = nullptr;
    foreach (source, SPI_plan_get_plan_sources(plan_)) {
      ListCell *query = nullptr;
      foreach (query, static_cast<CachedPlanSource *>(lfirst(source))->query_list)
        if (contain_volatile_functions(static_cast<Node *>(lfirst(query))))
          return true;
    }
    return false;
  });
  if (is_volatile)
    throw Error(ERRCODE_INVALID_OBJECT_DEFINITION, what + " calls a volatile function", {},
                "The same data must always give the same decision: use immutable and stable functions.");
}

Cursor::Cursor(const Plan &plan, const std::vector<Param> &params) {
  Values values(params);
  portal_ = call([&] {
    Portal portal = SPI_cursor_open(nullptr, plan.plan_, values.values.data(), values.nulls.data(), true);
    if (portal == nullptr)
      elog(ERROR, "could not open a cursor: %s", SPI_result_code_string(SPI_result));
    return portal;
  });
}

Rows Cursor::fetch(long count) {
  return call([&] {
    SPI_cursor_fetch(portal_, true, count);
    return Rows{SPI_tuptable, SPI_processed};
  });
}

std::uint64_t Cursor::run(long count, RowReceiver &receiver) {
  Receiver destination(receiver);
  return call([&] { return PortalRunFetch(portal_, FETCH_FORWARD, count, &destination.base); });
}

Rows query(const std::string &sql, const std::vector<Oid> &types, const std::vector<Param> &params) {
  return Plan::kept(sql, types, Planning::once).execute(params, true);
}

std::string quoted(std::string_view identifier) {
  const std::string text(identifier);
  return call([&] { return quote_identifier(text.c_str()); });
}

} // namespace attribution::pg
