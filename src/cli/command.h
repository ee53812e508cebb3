// A command of `verge` and its options, as the files that register commands see them. CLI11 stands behind: it is
// compiled in command.cc and not in each of these files, which took longer than all else in them.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace verge::cli {

// What the text of a value must be; its description stands in the help.
class ValueCheck {
 public:
  explicit ValueCheck(CLI::Validator validator);

  const CLI::Validator& validator() const { return *validator_; }

 private:
  std::shared_ptr<const CLI::Validator> validator_;
};

// A number from `least` to `most`, both included: int, unsigned, uint64_t or double. NaN is none.
template <class Number>
ValueCheck between(Number least, Number most);

// One of these words, or numbers.
ValueCheck one_of(const std::vector<std::string>& words);
ValueCheck one_of(std::initializer_list<const char*> words);
ValueCheck one_of(std::initializer_list<int> numbers);

class Option {
 public:
  explicit Option(CLI::Option& option) : option_(&option) {}

  Option* required();
  // What stands for the value in the help.
  Option* type_name(const std::string& name);
  Option* check(const ValueCheck& check);
  // `wrong` says what is wrong with a value; nothing where it is right.
  Option* check(const std::function<std::string(const std::string& value)>& wrong);
  // The help shows the variable's value as the default.
  Option* capture_default_str();
  // How many values it takes.
  Option* expected(int count);
  Option* expected(int least, int most);
  // Whether it goes on taking values: --name a b.
  Option* allow_extra_args(bool value);
  // One word may hold several values.
  Option* delimiter(char separator);
  // Which options it cannot, and must, stand with.
  template <class... Names>
  Option* excludes(const Names&... names) {
    (exclude(names), ...);
    return this;
  }
  Option* needs(const std::string& name);

  // How often it was given.
  size_t count() const;

 private:
  void exclude(const std::string& name);
  void exclude(const Option* other);

  CLI::Option* option_;
};

// Pointers that it returns are to what it owns.
class Command {
 public:
  // `app` outlives it.
  explicit Command(CLI::App& app) : app_(&app) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;

  // Strings, numbers, and vectors and optionals of them: those that command.cc names.
  template <class Value>
  Option* add_option(const std::string& name, Value& value, const std::string& description);
  // True; or, of a string, the word that the name gives it without a value: "--inspect{127.0.0.1:9229}".
  template <class Value>
  Option* add_flag(const std::string& name, Value& value, const std::string& description);
  Command* add_command(const std::string& name, const std::string& description);

  // The heading under which it stands in the help of what it is below.
  Command* group(const std::string& heading);
  // Called once the command line was understood and this command is named in it.
  Command* callback(std::function<void()> function);
  // So many commands must be named below it.
  Command* require_subcommand(int count);

  // How often an option was given.
  size_t count(const std::string& name) const;
  std::string name() const;

  const CLI::App& app() const { return *app_; }
  CLI::App& app() { return *app_; }

 private:
  CLI::App* app_;
  std::deque<Option> options_;
  std::deque<Command> commands_;
};

}  // namespace verge::cli
