#include "isolates/worker_source.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace verge::isolates {
namespace {

using testing::ElementsAre;

TEST(WorkerSource, ImportsOfEachFormAreFound) {
  EXPECT_THAT(relative_imports(R"(import a from "./a.js";
import { b } from '../b.js'
import './c.js'; export * from"./d.js";
const e = await import( "./e.json" );
import x from "bare"; const y = "./not-this.js"; from './f.js')"),
              ElementsAre("./a.js", "../b.js", "./c.js", "./d.js", "./e.json", "./f.js"));
  EXPECT_THAT(relative_imports("import \"./unended"), ElementsAre());
}

TEST(WorkerSource, ModulesAreReadOnceWithTheirTypes) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("worker-source-" + std::to_string(getpid()));
  std::filesystem::create_directories(directory / "lib");
  std::ofstream(directory / "main.js") << "import './lib/a.js'; import w from './words.json'; import './missing.js'";
  std::ofstream(directory / "lib/a.js") << "import '../main.js'; import t from './t.txt'";
  std::ofstream(directory / "lib/t.txt") << "text";
  std::ofstream(directory / "words.json") << "{}";
  const auto modules = read_modules((directory / "main.js").string());
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(modules.has_value());
  std::vector<std::string> names;
  for (const ModuleSource& module : *modules) names.push_back(module.name);
  EXPECT_THAT(names, ElementsAre("main.js", "lib/a.js", "words.json", "lib/t.txt"));
  EXPECT_EQ((*modules)[2].type, calls::ModuleType::kJson);
  EXPECT_EQ((*modules)[3].type, calls::ModuleType::kText);
  EXPECT_EQ((*modules)[3].source, "text");
}

TEST(WorkerSource, ASourceMapBesideAModuleBecomesPartOfIt) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("worker-source-map-" + std::to_string(getpid()));
  std::filesystem::create_directories(directory / "lib");
  std::ofstream(directory / "main.js") << "import './lib/a.js'; import './b.js';\n//# sourceMappingURL=main.js.map\n";
  std::ofstream(directory / "main.js.map") << "{}";
  std::ofstream(directory / "lib/a.js") << "1\n//# sourceMappingURL=missing.map";
  std::ofstream(directory / "b.js") << "1\n//# sourceMappingURL=https://example.com/b.js.map";
  const auto modules = read_modules((directory / "main.js").string());
  std::filesystem::remove_all(directory);
  ASSERT_TRUE(modules.has_value());
  EXPECT_EQ((*modules)[0].source,
            "import './lib/a.js'; import './b.js';\n"
            "//# sourceMappingURL=data:application/json;base64,e30=\n");
  EXPECT_EQ((*modules)[1].source, "1\n//# sourceMappingURL=missing.map");
  EXPECT_EQ((*modules)[2].source, "1\n//# sourceMappingURL=https://example.com/b.js.map");
}

TEST(WorkerSource, AMainFileThatIsNotThereIsAnError) {
  const auto modules = read_modules("/nowhere/main.js");
  ASSERT_FALSE(modules.has_value());
  EXPECT_EQ(modules.error().code, "workers.file");
}

}  // namespace
}  // namespace verge::isolates
