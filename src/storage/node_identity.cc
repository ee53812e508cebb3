#include "storage/node_identity.h"

#include <array>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/text.h"

namespace verge::storage {
namespace {

constexpr size_t kFileBytesMax = 1024;
constexpr std::array<std::string_view, 2> kNames = {"node-id", "node-id.copy"};

struct Copy {
  std::string path;
  bool is_there = false;
  bool is_checked = false;  // it has a checksum, which holds
  std::optional<NodeId> id;
};

std::string text_of(const NodeId& id) {
  const std::string line = id.text() + "\n";
  return line + fmt::format("{:016x}\n", hash64(line));
}

Result<Copy> read_copy(FileSystem& file_system, std::string path) {
  Copy copy{.path = std::move(path)};
  const Result<std::string> text = file_system.read_file(copy.path, kFileBytesMax);
  if (!text && text.error().code == "storage.missing") return copy;
  if (!text && text.error().code != "storage.foreign") return std::unexpected(text.error());
  copy.is_there = true;
  if (!text) return copy;
  const size_t line_end = text->find('\n');
  const std::optional<NodeId> id = NodeId::parse(trim(text->substr(0, line_end)));
  if (!id) return copy;
  const bool has_more = line_end != std::string::npos && !trim(text->substr(line_end)).empty();
  copy.is_checked = *text == text_of(*id);
  if (copy.is_checked || !has_more) copy.id = id;
  return copy;
}

Result<std::array<Copy, 2>> read_copies(FileSystem& file_system, const std::string& directory) {
  std::array<Copy, 2> copies;
  for (size_t i = 0; i < copies.size(); ++i) {
    Result<Copy> copy = read_copy(file_system, fmt::format("{}/{}", directory, kNames[i]));
    if (!copy) return std::unexpected(copy.error());
    copies[i] = std::move(*copy);
  }
  return copies;
}

// The first one before the second: whoever puts a node-id back from a backup means it.
std::optional<NodeId> best_of(const std::array<Copy, 2>& copies) { return copies[0].id ? copies[0].id : copies[1].id; }

}  // namespace

Result<NodeIdentity> open_identity(FileSystem& file_system, const std::string& directory) {
  const Result<std::array<Copy, 2>> copies = read_copies(file_system, directory);
  if (!copies) return std::unexpected(copies.error());
  const std::optional<NodeId> found = best_of(*copies);
  NodeIdentity identity{.id = found.value_or(NodeId::generate()), .replaced = {}};
  const std::string& first = (*copies)[0].path;
  const std::string& second = (*copies)[1].path;
  if (!found && ((*copies)[0].is_there || (*copies)[1].is_there)) {
    identity.replaced = {"storage.identity-lost",
                         fmt::format("{} and its copy hold no node id: this node is a new one to its parent, to which "
                                     "records that it had sent and not noted as delivered may come twice",
                                     first),
                         fmt::format("to have the old one back, stop the node and write its id into {}", first)};
  } else if (found && !((*copies)[0].id)) {
    identity.replaced = {"storage.identity-restored", fmt::format("{} was damaged or missing", first),
                         fmt::format("it was made anew from {}; look for what damaged it (the disk)", second)};
  } else if (found && (*copies)[0].is_checked && (*copies)[1].is_there && !(*copies)[1].id) {
    identity.replaced = {"storage.identity-restored", fmt::format("{} was damaged", second),
                         fmt::format("it was made anew from {}; look for what damaged it (the disk)", first)};
  }
  if (const Result<void> made = file_system.make_directory(directory); !made) return std::unexpected(made.error());
  for (const Copy& copy : *copies) {
    if (copy.is_checked && copy.id == identity.id) continue;
    if (copy.is_there && !copy.id) {
      if (const Result<std::string> aside = file_system.set_aside(copy.path); !aside) {
        return std::unexpected(aside.error());
      }
    }
    if (const Result<void> kept = file_system.replace_file(copy.path, text_of(identity.id)); !kept) {
      return std::unexpected(kept.error());
    }
  }
  return identity;
}

std::optional<NodeId> read_identity(FileSystem& file_system, const std::string& directory) {
  const Result<std::array<Copy, 2>> copies = read_copies(file_system, directory);
  return copies ? best_of(*copies) : std::nullopt;
}

}  // namespace verge::storage
