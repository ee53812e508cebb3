// The frame of the command line: what `verge --help` says of the whole, and what is said about words it does not know.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace CLI {
class ParseError;
}

namespace verge::cli {

// Name, description, examples, environment and exit codes of the program; no commands yet.
void describe_program(Command& program);

// Ends the help of a command: `text` is one or more indented lines, beginning with an example.
void set_examples(Command& command, const std::string& text);

// For Option::check() of a value HOST:PORT: what is wrong with how it is written. The host need not be known.
std::string no_address(const std::string& value);

// One line about a command line that could not be understood, with the nearest spelling where a word is unknown.
std::string explain(const CLI::App& app, const CLI::ParseError& problem);

// Every option of a command as it is typed ("--seconds", "-h"), in the order of registration.
std::vector<std::string> option_spellings(const CLI::App& command);

}  // namespace verge::cli
