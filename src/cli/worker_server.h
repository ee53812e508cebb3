// WorkerServer: workers behind a plain HTTP listener, without a node: what `verge worker serve` and `dev` run.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "isolates/pool.h"
#include "isolates/worker.h"

namespace verge::cli {

class WorkerServer {
 public:
  struct Options {
    std::string listen;
    std::string ready_file;
    bool prints_console = true;
    std::string code_cache;  // a directory; empty: what is compiled is not kept
    std::string inspect;     // where DevTools find the workers, on loopback; empty: nowhere
    std::string geo_file;    // empty: where clients are is not known
  };

  // One worker is served under /, several each under /its name/; requests keep their path. Returns when the process is
  // told to end (SIGINT, SIGTERM). Errors: those of listening; workers.program; cli.ready-file; geo.file.
  static Result<void> serve(std::vector<isolates::WorkerCode> workers, const Options& options);
  // As serve(), but `changed` is asked now and then for workers to take the place of all that were there.
  using Changed = std::function<std::optional<std::vector<isolates::WorkerCode>>()>;
  static Result<void> serve(std::vector<isolates::WorkerCode> workers, const Options& options, const Changed& changed);
};

}  // namespace verge::cli
