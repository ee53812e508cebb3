// DemoTree: the three nodes of the demonstration, cloud <- fog <- edge, as processes, and what can be asked of them.
#pragma once

#include <memory>
#include <string>

#include "cli/node_process.h"
#include "cli/scoreboard.h"

namespace verge::cli {

class DemoTree {
 public:
  explicit DemoTree(const std::string& directory);

  Result<void> start();
  // Ends all in order, lowest first, so that each can hand over what it has.
  void end();

  // The parent of the edge loses power, and comes back.
  void cut_parent() { fog_->kill(); }
  Result<void> restore_parent() { return fog_->start(); }
  // The edge loses power, and comes back.
  void kill_edge();
  Result<void> restart_edge() { return edge_->start(); }

  // Bytes that the edge has put on the wire to its parent, over all its lives.
  [[nodiscard]] uint64_t bytes_sent();
  struct Progress {
    uint64_t waiting_at_edge = 0;  // records not yet delivered
    uint64_t waiting_at_fog = 0;
    bool edge_connected = false;
  };
  [[nodiscard]] Progress progress();

  // Reads what the root stored since the last call into `stored`.
  Result<void> read_root(StoredRecords& stored);

  // The first node that ended by itself, or nullptr.
  [[nodiscard]] const NodeProcess* died();
  [[nodiscard]] const NodeProcess& cloud() const { return *cloud_; }
  [[nodiscard]] const NodeProcess& fog() const { return *fog_; }
  [[nodiscard]] const NodeProcess& edge() const { return *edge_; }

 private:
  // A node's /v1/status; empty when it does not answer.
  [[nodiscard]] static std::string status_of(const NodeProcess& node);
  Result<void> read_stream(std::string_view stream, std::string& after, StoredRecords& stored);

  const std::string directory_;
  std::unique_ptr<NodeProcess> cloud_;
  std::unique_ptr<NodeProcess> fog_;
  std::unique_ptr<NodeProcess> edge_;
  uint64_t sent_before_ = 0;                 // by lives of the edge that have ended
  uint64_t sent_now_ = 0;                    // as last seen
  std::array<std::string, 4> read_through_;  // positions at the root, by priority
};

}  // namespace verge::cli
