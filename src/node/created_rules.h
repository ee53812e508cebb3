// CreatedRules: rules that were created, stopped and started while the node ran, by way of the admin listener. They are
// kept in the data directory and are there again at the next start, after those of the configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "rules/rule_source.h"
#include "storage/file_system.h"

namespace verge::node {

inline constexpr size_t kCreatedRulesMax = 100'000;
inline constexpr size_t kCreatedRulesBytesMax = 64U << 20;

// A rule as JSON, {"name":…,"sql":…,"do":[{"publish":…},…],"report":…}: the keys of [[rule]], read as the file is.
// Errors: those of the configuration.
Result<rules::RuleSource> read_rule(std::string_view json);

class CreatedRules {
 public:
  CreatedRules(storage::FileSystem& file_system, std::string path)
      : file_system_(&file_system), path_(std::move(path)) {}

  [[nodiscard]] bool is_empty() const { return created_.empty() && stopped_.empty(); }

  // What was kept; nothing where nothing was.
  Result<void> load();
  Result<void> save() const;

  // Error rules.exists, rules.too-many.
  Result<void> create(std::string_view json, const std::vector<rules::RuleSource>& configured);
  // Puts another in the place of the one of that name, which is the name of the other too. Error rules.name where it is
  // not; rules.unknown; rules.configured.
  Result<void> replace(std::string_view name, std::string_view json, const std::vector<rules::RuleSource>& configured);
  // Error rules.unknown; rules.configured where it is one of the configuration.
  Result<void> remove(std::string_view name, const std::vector<rules::RuleSource>& configured);
  // Of either kind. Error rules.unknown.
  Result<void> stop(std::string_view name, const std::vector<rules::RuleSource>& configured);
  Result<void> start(std::string_view name, const std::vector<rules::RuleSource>& configured);

  [[nodiscard]] bool is_created(std::string_view name) const;
  [[nodiscard]] bool is_stopped(std::string_view name) const;
  [[nodiscard]] std::vector<rules::RuleSource> all(const std::vector<rules::RuleSource>& configured) const;
  // Those that run.
  [[nodiscard]] std::vector<rules::RuleSource> running(const std::vector<rules::RuleSource>& configured) const;

 private:
  struct Created {
    rules::RuleSource rule;
    std::string json;
  };

  [[nodiscard]] Result<void> check_known(std::string_view name, const std::vector<rules::RuleSource>& configured) const;
  [[nodiscard]] Result<void> check_created(std::string_view name,
                                           const std::vector<rules::RuleSource>& configured) const;

  storage::FileSystem* file_system_;
  std::string path_;
  std::vector<Created> created_;
  std::vector<std::string> stopped_;  // names
};

}  // namespace verge::node
