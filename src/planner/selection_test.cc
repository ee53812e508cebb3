#include "planner/selection.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/random.h"
#include "planner/routing_table.h"

namespace verge::planner {
namespace {

TEST(Selection, ScoreByHand) {
  // 5 + 0.5 * 10 + 0.5/0.5 * 0.1 = 10.1; 10.1 * 0.7 + 0.02 * 0.3 * 1000 = 13.07
  const SelectionCandidate candidate = score_candidate(3, 5, 0.5, 0.02);
  EXPECT_DOUBLE_EQ(candidate.latency_ms, 10.1);
  EXPECT_DOUBLE_EQ(candidate.score, 13.07);
}

TEST(Selection, FromFullLoadOnANodeIsInfinitelyFar) {
  EXPECT_TRUE(std::isinf(score_candidate(0, 1, 1, 0).score));
  EXPECT_TRUE(std::isinf(score_candidate(0, 1, 1.5, 0).score));
  EXPECT_TRUE(std::isfinite(score_candidate(0, 1, 0.999, 0).score));
}

SelectionQuery query_of(const std::vector<double>& propagation, const std::vector<uint32_t>& zones) {
  return {.nodes = propagation.size(),
          .to_node_ms = [&](uint32_t node) { return propagation[node]; },
          .between_nodes_ms = {},
          .load = [](uint32_t) { return 0.0; },
          .cost = [](uint32_t) { return 0.0; },
          .zone = [&](uint32_t node) { return zones[node]; }};
}

TEST(Selection, OneFallbackIsOutsideThePrimarysZone) {
  const std::vector<double> propagation = {4, 1, 2, 3, 9};
  const std::vector<uint32_t> zones = {1, 0, 0, 0, 2};
  SelectionQuery query = query_of(propagation, zones);
  Selection selection = select_nodes(query);
  EXPECT_EQ(selection.primary.value_or(SelectionCandidate{}).node, 1U);
  EXPECT_EQ(selection.fallback_1.value_or(SelectionCandidate{}).node, 2U);
  EXPECT_EQ(selection.fallback_2.value_or(SelectionCandidate{}).node, 0U);
  query.is_plain = true;
  selection = select_nodes(query);
  EXPECT_EQ(selection.fallback_2.value_or(SelectionCandidate{}).node, 3U);
  EXPECT_EQ(selection.all_candidates.size(), 5U);
}

TEST(Selection, ARelayIsTakenFromTenPercentOn) {
  const std::vector<double> propagation = {100, 40};
  const std::vector<uint32_t> zones = {0, 1};
  SelectionQuery query = query_of(propagation, zones);
  query.between_nodes_ms = [](uint32_t, uint32_t) { return 50.0; };  // 40 + 50 = 90: just a tenth less
  Selection selection = select_nodes(query);
  ASSERT_EQ(selection.all_candidates.size(), 2U);
  EXPECT_EQ(selection.all_candidates[1].relay, std::optional<uint32_t>(1));
  EXPECT_DOUBLE_EQ(selection.all_candidates[1].propagation_ms, 90);
  query.between_nodes_ms = [](uint32_t, uint32_t) { return 50.1; };
  EXPECT_FALSE(select_nodes(query).all_candidates[1].relay.has_value());
}

TEST(Selection, MeasurementsKeepCapeTownFromSaoPaulo) {
  // By distance São Paulo is nearer to Cape Town than London is; measured, it takes 329 ms and London 143.
  const std::vector<double> by_distance = {round_trip_floor_ms(great_circle_km({-33.92, 18.42}, {-23.55, -46.63})) / 2,
                                           round_trip_floor_ms(great_circle_km({-33.92, 18.42}, {51.51, -0.13})) / 2};
  const std::vector<double> measured = {329.0 / 2, 142.5 / 2};
  const std::vector<uint32_t> zones = {0, 1};
  EXPECT_EQ(select_nodes(query_of(by_distance, zones)).all_candidates[0].node, 0U);
  EXPECT_EQ(select_nodes(query_of(measured, zones)).all_candidates[0].node, 1U);
}

TEST(RoutingTable, SaysWhatSelectionSays) {
  Random random(21);
  for (const bool plain : {false, true}) {
    std::vector<RoutedNode> nodes;
    for (int i = 0; i < 300; ++i) {
      nodes.push_back({{std::asin(random.unit() * 2 - 1) * 57.29, random.unit() * 360 - 180},
                       random.unit() * 1.1,
                       random.unit() * 0.03,
                       static_cast<uint32_t>(random.below(8))});
    }
    const RoutingTable table = RoutingTable::build(nodes, 2000, 2, plain);
    EXPECT_GE(table.cells(), 2000U);
    for (size_t cell = 0; cell < table.cells(); cell += 7) {
      const Coordinates user = table.middle_of(cell);
      const Selection selection = select_nodes(
          {.nodes = nodes.size(),
           .to_node_ms = [&](uint32_t node) { return routed_propagation_ms(great_circle_km(user, nodes[node].at)); },
           .between_nodes_ms = {},
           .load = [&](uint32_t node) { return nodes[node].load; },
           .cost = [&](uint32_t node) { return nodes[node].cost; },
           .zone = [&](uint32_t node) { return nodes[node].zone; },
           .is_plain = plain});
      const Route& route = table.lookup(user);
      EXPECT_EQ(route.primary, selection.primary.value_or(SelectionCandidate{}).node);
      EXPECT_EQ(route.fallback_1, selection.fallback_1.value_or(SelectionCandidate{}).node);
      EXPECT_EQ(route.fallback_2, selection.fallback_2.value_or(SelectionCandidate{}).node) << cell;
    }
  }
}

TEST(RoutingTable, WithoutAUsableNodeThereIsNoRoute) {
  const std::vector<RoutedNode> nodes = {{{0, 0}, 1.0, 0, 0}};
  EXPECT_EQ(RoutingTable::build(nodes, 10, 1).lookup({10, 10}).primary, kNoNode);
  EXPECT_EQ(RoutingTable::build({}, 10, 1).lookup({90, 180}).primary, kNoNode);
}

}  // namespace
}  // namespace verge::planner
