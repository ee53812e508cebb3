#include "node/deployed_workers.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/text.h"
#include "node/worker_bundle.h"

namespace verge::node {
namespace {

constexpr size_t kCurrentBytesMax = 16U << 20;

std::unexpected<Error> unknown(std::string_view name) {
  return fail("workers.unknown", fmt::format("no worker {} was deployed here", json_string(name)),
              "see verge worker list");
}

}  // namespace

std::string DeployedWorkers::path_of(std::string_view name, uint64_t version) const {
  return fmt::format("{}/{}@{}.json", directory_, name, version);
}

Result<WorkerSpec> DeployedWorkers::read(std::string_view name, uint64_t version) const {
  const Result<std::string> text = file_system_->read_file(path_of(name, version), kWorkerBundleBytesMax);
  if (!text) return std::unexpected(text.error());
  Result<WorkerSpec> spec = read_worker_bundle(*text);
  if (spec) spec->version = version;
  return spec;
}

Result<void> DeployedWorkers::load() {
  const std::string path = directory_ + "/current.json";
  const Result<std::string> text = file_system_->read_file(path, kCurrentBytesMax);
  if (!text && text.error().code == "storage.missing") return {};
  if (!text) return std::unexpected(text.error());
  simdjson::dom::parser parser;
  const simdjson::padded_string copy(*text);
  simdjson::dom::array workers;
  const auto damaged = [&](std::string what) {
    return fail("workers.deployed", std::move(what),
                "restore it, or remove the directory and deploy the workers again");
  };
  if (parser.parse(copy)["workers"].get(workers) != simdjson::SUCCESS) {
    return damaged(fmt::format("{} cannot be read", path));
  }
  for (const simdjson::dom::element worker : workers) {
    std::string_view name;
    uint64_t version = 0;
    simdjson::dom::array versions;
    if (worker["name"].get(name) != simdjson::SUCCESS || worker["version"].get(version) != simdjson::SUCCESS ||
        worker["versions"].get(versions) != simdjson::SUCCESS) {
      return damaged(fmt::format("{} has an entry that is no worker", path));
    }
    Deployed deployed;
    for (const simdjson::dom::element one : versions) {
      Version its;
      if (one["number"].get(its.number) == simdjson::SUCCESS && one["time_us"].get(its.time_us) == simdjson::SUCCESS) {
        deployed.versions.push_back(its);
      }
    }
    Result<WorkerSpec> spec = read(name, version);
    if (!spec) {
      return damaged(fmt::format("version {} of worker {} cannot be read: {}", version, name, spec.error().what));
    }
    deployed.spec = std::move(*spec);
    deployed_.insert_or_assign(std::string(name), std::move(deployed));
  }
  return {};
}

Result<void> DeployedWorkers::save() const {
  std::string out = "{\"workers\":[";
  for (const auto& [name, deployed] : deployed_) {
    fmt::format_to(std::back_inserter(out), "{}\n{{\"name\":{},\"version\":{},\"versions\":[",
                   out.ends_with('[') ? "" : ",", json_string(name), deployed.spec.version);
    for (const Version& version : deployed.versions) {
      fmt::format_to(std::back_inserter(out), "{}{{\"number\":{},\"time_us\":{}}}",
                     &version == deployed.versions.data() ? "" : ",", version.number, version.time_us);
    }
    out.append("]}");
  }
  out.append("]}\n");
  return file_system_->replace_file(directory_ + "/current.json", out);
}

Result<uint64_t> DeployedWorkers::add(WorkerSpec spec, std::string_view bundle, WallTime now) {
  const std::string name = spec.config.name;
  if (!deployed_.contains(name) && deployed_.size() >= kWorkersMax) {
    return fail("workers.too-many", fmt::format("{} workers are deployed here already", kWorkersMax), "remove some");
  }
  if (const Result<void> made = file_system_->make_directory(directory_); !made) return std::unexpected(made.error());
  const auto former = deployed_.find(name);
  const uint64_t version =
      former == deployed_.end() || former->second.versions.empty() ? 1 : former->second.versions.back().number + 1;
  if (const Result<void> written = file_system_->replace_file(path_of(name, version), bundle); !written) {
    return std::unexpected(written.error());
  }
  const std::optional<Deployed> before = former == deployed_.end() ? std::nullopt : std::optional(former->second);
  Deployed& deployed = deployed_[name];
  spec.version = version;
  deployed.spec = std::move(spec);
  deployed.versions.push_back({.number = version, .time_us = now.microseconds});
  std::vector<uint64_t> gone;
  while (deployed.versions.size() > kVersionsMax) {
    gone.push_back(deployed.versions.front().number);
    deployed.versions.erase(deployed.versions.begin());
  }
  if (const Result<void> saved = save(); !saved) {
    if (before) {
      deployed_[name] = *before;
    } else {
      deployed_.erase(name);
    }
    return std::unexpected(saved.error());
  }
  for (const uint64_t number : gone) static_cast<void>(file_system_->remove(path_of(name, number)));
  return version;
}

Result<uint64_t> DeployedWorkers::roll_back(std::string_view name, uint64_t version) {
  const auto found = deployed_.find(name);
  if (found == deployed_.end()) return unknown(name);
  Deployed& deployed = found->second;
  const uint64_t present = deployed.spec.version;
  const auto its = std::ranges::find(deployed.versions, version == 0 ? present : version, &Version::number);
  const bool has_one_before = its != deployed.versions.end() && (version != 0 || its != deployed.versions.begin());
  if (!has_one_before) {
    return fail("workers.version",
                version == 0 ? fmt::format("worker {} has no version before {}", name, present)
                             : fmt::format("worker {} has no version {}", name, version),
                "see verge worker list");
  }
  const uint64_t wanted = version == 0 ? std::prev(its)->number : version;
  Result<WorkerSpec> spec = read(name, wanted);
  if (!spec) return std::unexpected(spec.error());
  WorkerSpec former = std::exchange(deployed.spec, std::move(*spec));
  if (const Result<void> saved = save(); !saved) {
    deployed.spec = std::move(former);
    return std::unexpected(saved.error());
  }
  return wanted;
}

Result<void> DeployedWorkers::remove(std::string_view name) {
  const auto found = deployed_.find(name);
  if (found == deployed_.end()) return unknown(name);
  auto taken = deployed_.extract(found);
  if (const Result<void> saved = save(); !saved) {
    deployed_.insert(std::move(taken));
    return saved;
  }
  for (const Version& version : taken.mapped().versions) {
    static_cast<void>(file_system_->remove(path_of(taken.key(), version.number)));
  }
  return {};
}

std::vector<WorkerSpec> DeployedWorkers::specs() const {
  std::vector<WorkerSpec> specs;
  for (const auto& [name, deployed] : deployed_) specs.push_back(deployed.spec);
  return specs;
}

}  // namespace verge::node
