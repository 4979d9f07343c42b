#include "pg/team.hpp"

namespace attribution::pg {

struct TeamState {
  pg_atomic_uint32 next;
  std::uint32_t pieces;
  std::uint32_t message_size;
  std::size_t shared_size;
  int columns;
};

namespace {

/// Of rows that a helper has sent and nobody has received yet, in bytes. A helper that has decided a batch does not
/// wait for a leader that is at one still.
constexpr Size kQueueSize = Size{2} << 20;

/// Keys of the table of contents. Those of PostgreSQL's own begin at 2^63.
enum Key : std::uint64_t { kState = 1, kMessage, kShared, kShape, kQueues };

/// A column of the rows.
struct ColumnShape {
  Oid type, collation;
  std::int32_t typmod;
};

std::optional<std::uint32_t> next_piece(TeamState *state) noexcept {
  const std::uint32_t piece = pg_atomic_fetch_add_u32(&state->next, 1);
  return piece < state->pieces ? std::optional(piece) : std::nullopt;
}

} // namespace

bool may_have_helpers() {
  return !IsInParallelMode() && !InitializingParallelWorker && max_parallel_workers_per_gather > 0;
}

Team::Team(const char *entry, int helpers, const std::string &message, std::string_view shared, std::uint32_t pieces,
           ResultSet &result)
    : result_(result) {
  TupleDesc shape = result.shape();
  const Size shape_size = static_cast<Size>(shape->natts) * sizeof(ColumnShape);
  std::vector<shm_mq_handle *> queues(static_cast<std::size_t>(helpers));
  call([&] {
    EnterParallelMode();
    context_ = CreateParallelContext("attribution", entry, helpers);
    shm_toc_estimator *estimator = &context_->estimator;
    for (Size size : {sizeof(TeamState), std::max<Size>(message.size(), 1), std::max<Size>(shared.size(), 1),
                      shape_size, mul_size(kQueueSize, static_cast<Size>(context_->nworkers))}) {
      shm_toc_estimate_chunk(estimator, size);
      shm_toc_estimate_keys(estimator, 1);
    }
    InitializeParallelDSM(context_);
    if (context_->seg == nullptr)
      return; // no shared memory to be had
    shm_toc *contents = context_->toc;
    const auto place = [&](Key key, Size size) {
      void *memory = shm_toc_allocate(contents, size);
      shm_toc_insert(contents, key, memory);
      return memory;
    };
    state_ = static_cast<TeamState *>(place(kState, sizeof(TeamState)));
    pg_atomic_init_u32(&state_->next, 0);
    state_->pieces = pieces;
    state_->message_size = static_cast<std::uint32_t>(message.size());
    state_->columns = shape->natts;
    memcpy(place(kMessage, std::max<Size>(message.size(), 1)), message.data(), message.size());
    shared_ = {static_cast<char *>(place(kShared, std::max<Size>(shared.size(), 1))), shared.size()};
    memcpy(shared_.data(), shared.data(), shared.size());
    state_->shared_size = shared.size();
    auto *columns = static_cast<ColumnShape *>(place(kShape, shape_size));
    for (int i = 0; i < shape->natts; ++i) {
      Form_pg_attribute column = TupleDescAttr(shape, i);
      columns[i] = {column->atttypid, column->attcollation, column->atttypmod};
    }
    auto *memory = static_cast<char *>(place(kQueues, mul_size(kQueueSize, static_cast<Size>(context_->nworkers))));
    for (int i = 0; i < context_->nworkers; ++i) {
      shm_mq *queue = shm_mq_create(memory + static_cast<Size>(i) * kQueueSize, kQueueSize);
      shm_mq_set_receiver(queue, MyProc);
      queues[static_cast<std::size_t>(i)] = shm_mq_attach(queue, context_->seg, nullptr);
    }
    LaunchParallelWorkers(context_);
  });
  readers_.resize(static_cast<std::size_t>(context_->nworkers_launched));
  call([&] {
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      shm_mq_set_handle(queues[i], context_->worker[i].bgwhandle);
      readers_[i] = CreateTupleQueueReader(queues[i]);
    }
  });
}

Team::~Team() {
  if (std::uncaught_exceptions() > 0)
    return; // the abort ends the helpers
  DestroyParallelContext(context_);
  ExitParallelMode();
}

std::optional<std::uint32_t> Team::take_piece() noexcept { return next_piece(state_); }

void Team::receive() {
  call([this] {
    CHECK_FOR_INTERRUPTS();
    for (TupleQueueReader *&reader : readers_) {
      while (reader != nullptr) {
        bool done = false;
        MinimalTuple row = TupleQueueReaderNext(reader, true, &done);
        if (row != nullptr)
          result_.put(row);
        else if (done) {
          DestroyTupleQueueReader(reader);
          reader = nullptr;
        } else
          break;
      }
    }
  });
}

void Team::finish() {
  const auto is_done = [this] {
    return std::all_of(readers_.begin(), readers_.end(), [](const TupleQueueReader *reader) { return !reader; });
  };
  for (receive(); !is_done(); receive())
    call([] {
      (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, WAIT_EVENT_EXECUTE_GATHER);
      ResetLatch(MyLatch);
    });
  call([this] { WaitForParallelWorkersToFinish(context_); });
}

Helper::Helper(dsm_segment *segment, shm_toc *contents) {
  TupleDesc shape = nullptr;
  call([&] {
    state_ = static_cast<TeamState *>(shm_toc_lookup(contents, kState, false));
    message_ = {static_cast<const char *>(shm_toc_lookup(contents, kMessage, false)), state_->message_size};
    shared_ = {static_cast<char *>(shm_toc_lookup(contents, kShared, false)), state_->shared_size};
    const auto *columns = static_cast<const ColumnShape *>(shm_toc_lookup(contents, kShape, false));
    shape = CreateTemplateTupleDesc(state_->columns);
    for (int i = 0; i < state_->columns; ++i) {
      TupleDescInitEntry(shape, static_cast<AttrNumber>(i + 1), nullptr, columns[i].type, columns[i].typmod, 0);
      TupleDescInitEntryCollation(shape, static_cast<AttrNumber>(i + 1), columns[i].collation);
    }
    auto *queues = static_cast<char *>(shm_toc_lookup(contents, kQueues, false));
    auto *queue = reinterpret_cast<shm_mq *>(queues + static_cast<Size>(ParallelWorkerNumber) * kQueueSize);
    shm_mq_set_sender(queue, MyProc);
    rows_ = CreateTupleQueueDestReceiver(shm_mq_attach(queue, segment, nullptr));
  });
  result_.emplace(shape, rows_);
}

Helper::~Helper() {
  if (std::uncaught_exceptions() == 0)
    rows_->rDestroy(rows_);
}

std::optional<std::uint32_t> Helper::take_piece() noexcept { return next_piece(state_); }

} // namespace attribution::pg
