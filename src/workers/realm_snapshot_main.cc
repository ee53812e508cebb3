// verge-snapshot BUNDLE OUT.S: a build tool. Makes the startup snapshot from the bundle and writes it beside OUT.S, an
// assembler file that takes it into a program as built_in_snapshot().
#include <cstdio>
#include <fstream>
#include <iterator>

#include "workers/realm_engine.h"
#include "workers/realm_snapshot.h"

int main(int count, char** arguments) {
  using namespace verge::workers;
  if (count != 3) {
    std::fputs("verge-snapshot BUNDLE OUT.S\n", stderr);
    return 2;
  }
  std::ifstream in(arguments[1], std::ios::binary);
  const std::string bundle{std::istreambuf_iterator<char>(in), {}};
  Engine engine({.snapshot = {}, .flags = {}});
  const auto blob = build_snapshot(engine, bundle);
  if (!blob) {
    std::fprintf(stderr, "verge-snapshot: %s\n", blob.error().line().c_str());
    return 1;
  }
  const std::string blob_path = std::string(arguments[2]) + ".blob";
  std::ofstream(blob_path, std::ios::binary).write(blob->data(), static_cast<std::streamsize>(blob->size()));
  std::ofstream(arguments[2]) << ".section .rodata\n.balign 64\n"
                                 ".globl verge_snapshot_start\n.globl verge_snapshot_end\n"
                                 ".hidden verge_snapshot_start\n.hidden verge_snapshot_end\n"
                                 ".globl verge_bundle_start\n.globl verge_bundle_end\n"
                                 ".hidden verge_bundle_start\n.hidden verge_bundle_end\n"
                              << "verge_snapshot_start:\n.incbin \"" << blob_path << "\"\nverge_snapshot_end:\n"
                              << "verge_bundle_start:\n.incbin \"" << arguments[1] << "\"\nverge_bundle_end:\n"
                              << ".section .note.GNU-stack,\"\",%progbits\n";
  return 0;
}
