// NAME=VALUE on the command line.
#pragma once

#include <string>

namespace verge::cli {

// What is wrong with `text`; empty: nothing.
inline std::string no_assignment(const std::string& text) {
  const size_t equals = text.find('=');
  return equals != std::string::npos && equals > 0 ? std::string() : text + " is not of the form NAME=VALUE";
}

}  // namespace verge::cli
