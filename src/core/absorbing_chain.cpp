#include "core/absorbing_chain.hpp"

#include <algorithm>
#include <queue>

namespace attribution::core {

namespace {

using Edge = AbsorbingChain::Edge;
using Exit = AbsorbingChain::Exit;
using Row = AbsorbingChain::Row;

constexpr std::uint32_t kNone = UINT32_MAX;

void add(Exit &to, double weight, const Exit &from) noexcept {
  to.all += weight * from.all;
  to.conversions += weight * from.conversions;
  to.value += weight * from.value;
}

double sum_of(const Row &row) noexcept {
  double sum = row.exit.all;
  for (const Edge &edge : row.edges)
    sum += edge.weight;
  return sum;
}

/// Memory that is held for a scope.
class Held {
public:
  explicit Held(Workload &workload) noexcept : workload_(workload) {}
  ~Held() { workload_.release(bytes_); }
  Held(const Held &) = delete;
  Held &operator=(const Held &) = delete;
  void more(std::size_t bytes) {
    workload_.hold(bytes);
    bytes_ += bytes;
  }

private:
  Workload &workload_;
  std::size_t bytes_ = 0;
};

/// Takes states out of a sparse chain, those with the fewest ways through them first (H. Markowitz, The elimination
/// form of the inverse, 1957). What remains when most of its edges are there goes on as a matrix.
class Elimination {
public:
  Elimination(const AbsorbingChain &chain, std::span<const char> keep, Workload &workload)
      : workload_(workload), held_(workload), count_(chain.size()), keep_(keep), gone_(chain.size(), 0),
        sources_(chain.size()) {
    held_.more(2 * chain.bytes());
    rows_.reserve(count_ + 1);
    for (std::uint32_t state = 0; state < count_; ++state)
      rows_.push_back(chain.row(state));
    rows_.push_back(chain.start());
    for (std::uint32_t from = 0; from <= count_; ++from) {
      edges_ += rows_[from].edges.size();
      for (const Edge &edge : rows_[from].edges)
        sources_[edge.to].push_back(from);
    }
  }

  AbsorbingChain run() {
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    std::uint32_t left = 0;
    for (std::uint32_t state = 0; state < count_; ++state)
      if (!keep_[state]) {
        queue.push({cost(state), state});
        ++left;
      }
    std::uint32_t alive = count_;
    while (left > 0) {
      if (is_dense(alive)) {
        eliminate_as_matrix(alive);
        break;
      }
      const Candidate candidate = queue.top();
      queue.pop();
      if (const std::size_t now = cost(candidate.state); now > candidate.cost) {
        queue.push({now, candidate.state});
        continue;
      }
      take_out(candidate.state);
      --left;
      --alive;
    }
    return result();
  }

private:
  struct Candidate {
    std::size_t cost;
    std::uint32_t state;
    bool operator>(const Candidate &other) const noexcept {
      return cost != other.cost ? cost > other.cost : state > other.state;
    }
  };

  std::size_t cost(std::uint32_t state) const noexcept { return sources_[state].size() * rows_[state].edges.size(); }

  bool is_dense(std::uint32_t alive) const noexcept {
    constexpr std::uint32_t kLeast = 16;
    return alive >= kLeast && edges_ > std::size_t{alive} * alive / 4;
  }

  void take_out(std::uint32_t state) {
    Row row = std::move(rows_[state]);
    rows_[state] = {};
    gone_[state] = 1;
    edges_ -= row.edges.size();
    for (const Edge &edge : row.edges)
      std::erase(sources_[edge.to], state);
    const double sum = sum_of(row);
    const std::vector<std::uint32_t> sources = std::move(sources_[state]);
    for (const std::uint32_t source : sources) {
      reroute(source, state, row, sum);
      workload_.did(row.edges.size() + rows_[source].edges.size());
    }
  }

  /// What led from `source` to a state goes on to where the state's row leads.
  void reroute(std::uint32_t source, std::uint32_t state, const Row &row, double sum) {
    std::vector<Edge> &edges = rows_[source].edges;
    const auto at = std::lower_bound(edges.begin(), edges.end(), state,
                                     [](const Edge &edge, std::uint32_t to) { return edge.to < to; });
    const double share = sum > 0 ? at->weight / sum : 0;
    merged_.clear();
    auto old = edges.begin();
    const auto keep_old = [&] {
      if (old->to != state)
        merged_.push_back(*old);
      ++old;
    };
    for (const Edge &edge : row.edges) {
      while (old != edges.end() && old->to < edge.to)
        keep_old();
      const bool known = old != edges.end() && old->to == edge.to;
      if (edge.to == source) // a loop
        continue;
      if (!known)
        sources_[edge.to].push_back(source);
      merged_.push_back({edge.to, share * edge.weight + (known ? old->weight : 0)});
      if (known)
        ++old;
    }
    while (old != edges.end())
      keep_old();
    add(rows_[source].exit, share, row.exit);
    if (merged_.size() > edges.size())
      held_.more((merged_.size() - edges.size()) * (2 * sizeof(Edge) + sizeof(std::uint32_t)));
    edges_ += merged_.size();
    edges_ -= edges.size();
    edges.assign(merged_.begin(), merged_.end());
  }

  /// The states that are left as rows of a matrix, those that go first; the start is its last row, the exits its last
  /// columns.
  void eliminate_as_matrix(std::uint32_t alive) {
    std::vector<std::uint32_t> states, place(count_, kNone);
    for (const bool kept : {false, true})
      for (std::uint32_t state = 0; state < count_; ++state)
        if (!gone_[state] && (keep_[state] != 0) == kept) {
          place[state] = static_cast<std::uint32_t>(states.size());
          states.push_back(state);
        }
    const std::size_t width = std::size_t{alive} + 3;
    held_.more(width * (std::size_t{alive} + 1) * sizeof(double));
    std::vector<double> matrix(width * (std::size_t{alive} + 1), 0);
    const auto row_of = [&](std::uint32_t at) { return matrix.data() + width * at; };
    states.push_back(count_);
    for (std::uint32_t at = 0; at <= alive; ++at) {
      Row &row = rows_[states[at]];
      double *cells = row_of(at);
      for (const Edge &edge : row.edges)
        cells[place[edge.to]] = edge.weight;
      cells[alive] = row.exit.all;
      cells[alive + 1] = row.exit.conversions;
      cells[alive + 2] = row.exit.value;
      row = {};
    }
    std::uint32_t out = 0;
    for (; !keep_.empty() && out < alive && !keep_[states[out]]; ++out) {
      const double *pivot = row_of(out);
      double sum = 0;
      for (std::uint32_t to = out + 1; to <= alive; ++to)
        sum += pivot[to];
      for (std::uint32_t at = out + 1; at <= alive; ++at) {
        double *cells = row_of(at);
        if (cells[out] == 0)
          continue;
        const double share = sum > 0 ? cells[out] / sum : 0;
        for (std::size_t to = out + 1; to < width; ++to)
          cells[to] += share * pivot[to];
        cells[at] = at < alive ? 0 : cells[at]; // a loop
        workload_.did(width - out);
      }
      gone_[states[out]] = 1;
    }
    for (std::uint32_t at = out; at <= alive; ++at) {
      Row &row = rows_[states[at]];
      const double *cells = row_of(at);
      for (std::uint32_t to = out; to < alive; ++to)
        if (cells[to] != 0)
          row.edges.push_back({states[to], cells[to]});
      row.exit = {cells[alive], cells[alive + 1], cells[alive + 2]};
    }
  }

  AbsorbingChain result() {
    std::vector<std::uint32_t> number(count_, kNone);
    std::uint32_t kept = 0;
    for (std::uint32_t state = 0; state < count_; ++state)
      if (!gone_[state])
        number[state] = kept++;
    AbsorbingChain chain(kept);
    const auto move = [&](Row &from, Row &to) {
      to.exit = from.exit;
      to.edges.assign(from.edges.begin(), from.edges.end());
      for (Edge &edge : to.edges)
        edge.to = number[edge.to];
      from = {};
    };
    for (std::uint32_t state = 0; state < count_; ++state)
      if (!gone_[state])
        move(rows_[state], chain.row(number[state]));
    move(rows_[count_], chain.start());
    return chain;
  }

  Workload &workload_;
  Held held_;
  std::uint32_t count_;
  std::span<const char> keep_;
  std::vector<char> gone_;
  std::vector<std::vector<std::uint32_t>> sources_; ///< whose rows lead to a state; count_ is the start
  std::vector<Row> rows_;                           ///< the last is the start's
  std::vector<Edge> merged_;
  std::size_t edges_ = 0;
};

} // namespace

AbsorbingChain AbsorbingChain::eliminate(std::span<const char> keep, Workload &workload) const {
  return Elimination(*this, keep, workload).run();
}

std::size_t AbsorbingChain::bytes() const noexcept {
  std::size_t edges = start_.edges.size();
  for (const Row &row : rows_)
    edges += row.edges.size();
  return rows_.size() * (sizeof(Row) + sizeof(std::vector<std::uint32_t>)) +
         edges * (sizeof(Edge) + sizeof(std::uint32_t));
}

} // namespace attribution::core
