// The Markov model: what would be lost without a channel, exactly.
#pragma once

#include "core/transitions.hpp"
#include "core/workload.hpp"

namespace attribution::core {

/// What a channel is to the conversions, and to what they are worth. The removal effect is the share of them that is
/// lost if every step into a state with the channel ends the walk instead (E. Anderl, I. Becker, F. von Wangenheim, J.
/// Schumann, Mapping the customer journey, 2016); credits are proportional to it.
struct MarkovCredit {
  Channel channel = 0;
  double removal_effect = 0, conversions = 0;
  double value_removal_effect = 0, value = 0;
};

/// Credits of all channels in a given order; they sum to the conversions and values of `transitions`, but for its
/// organic paths. Without conversions all are 0. The answer is that of the linear system, by elimination: nothing is
/// simulated, and no digits are lost to cancellation.
std::vector<MarkovCredit> markov(const Transitions &transitions, const std::vector<Channel> &channels,
                                 Workload &workload);

} // namespace attribution::core

#include "core/no_postgres.hpp"
