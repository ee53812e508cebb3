#include "cli/command.h"

#include <cmath>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

#include <CLI/CLI.hpp>

namespace verge::cli {

ValueCheck::ValueCheck(CLI::Validator validator)
    : validator_(std::make_shared<const CLI::Validator>(std::move(validator))) {}

template <class Number>
ValueCheck between(Number least, Number most) {
  const CLI::Range range(least, most);
  if constexpr (std::is_floating_point_v<Number>) {
    // A range of CLI11's has NaN in it: it is neither below nor above.
    const auto number = [range](std::string& text) {
      Number value = 0;
      if (CLI::detail::lexical_cast(text, value) && std::isnan(value)) return "'" + text + "' is no number";
      return range(text);
    };
    return ValueCheck(CLI::Validator(number, range.get_description()));
  }
  return ValueCheck(range);
}

template ValueCheck between(int least, int most);
template ValueCheck between(unsigned least, unsigned most);
template ValueCheck between(uint64_t least, uint64_t most);
template ValueCheck between(double least, double most);

ValueCheck one_of(const std::vector<std::string>& words) { return ValueCheck(CLI::IsMember(words)); }
ValueCheck one_of(std::initializer_list<const char*> words) {
  return one_of(std::vector<std::string>(words.begin(), words.end()));
}
ValueCheck one_of(std::initializer_list<int> numbers) { return ValueCheck(CLI::IsMember(std::vector<int>(numbers))); }

Option* Option::required() {
  option_->required();
  return this;
}

Option* Option::type_name(const std::string& name) {
  option_->type_name(name);
  return this;
}

Option* Option::check(const ValueCheck& check) {
  option_->check(check.validator());
  return this;
}

Option* Option::check(const std::function<std::string(const std::string& value)>& wrong) {
  option_->check(wrong);
  return this;
}

Option* Option::capture_default_str() {
  option_->capture_default_str();
  return this;
}

Option* Option::expected(int count) {
  option_->expected(count);
  return this;
}

Option* Option::expected(int least, int most) {
  option_->expected(least, most);
  return this;
}

Option* Option::allow_extra_args(bool value) {
  option_->allow_extra_args(value);
  return this;
}

Option* Option::delimiter(char separator) {
  option_->delimiter(separator);
  return this;
}

Option* Option::needs(const std::string& name) {
  option_->needs(name);
  return this;
}

void Option::exclude(const std::string& name) { option_->excludes(name); }
void Option::exclude(const Option* other) { option_->excludes(other->option_); }

size_t Option::count() const { return option_->count(); }

template <class Value>
Option* Command::add_option(const std::string& name, Value& value, const std::string& description) {
  CLI::Option& made = *app_->add_option(name, value, description);
  // One value each time that it is given: what follows that is the command's own, and not one more.
  if (name.starts_with('-')) made.allow_extra_args(false);
  return &options_.emplace_back(made);
}

template Option* Command::add_option(const std::string&, std::string&, const std::string&);
template Option* Command::add_option(const std::string&, int&, const std::string&);
template Option* Command::add_option(const std::string&, unsigned&, const std::string&);
template Option* Command::add_option(const std::string&, uint64_t&, const std::string&);
template Option* Command::add_option(const std::string&, double&, const std::string&);
template Option* Command::add_option(const std::string&, bool&, const std::string&);
template Option* Command::add_option(const std::string&, std::optional<uint64_t>&, const std::string&);
template Option* Command::add_option(const std::string&, std::optional<double>&, const std::string&);
template Option* Command::add_option(const std::string&, std::vector<double>&, const std::string&);
template Option* Command::add_option(const std::string&, std::vector<std::string>&, const std::string&);

template <class Value>
Option* Command::add_flag(const std::string& name, Value& value, const std::string& description) {
  return &options_.emplace_back(*app_->add_flag(name, value, description));
}

template Option* Command::add_flag(const std::string&, bool&, const std::string&);
template Option* Command::add_flag(const std::string&, std::string&, const std::string&);

Command* Command::add_command(const std::string& name, const std::string& description) {
  return &commands_.emplace_back(*app_->add_subcommand(name, description));
}

Command* Command::group(const std::string& heading) {
  app_->group(heading);
  return this;
}

Command* Command::callback(std::function<void()> function) {
  app_->callback(std::move(function));
  return this;
}

Command* Command::require_subcommand(int count) {
  app_->require_subcommand(count);
  return this;
}

size_t Command::count(const std::string& name) const { return app_->get_option(name)->count(); }

std::string Command::name() const { return app_->get_name(); }

}  // namespace verge::cli
