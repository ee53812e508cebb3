// The headers that nearly every file includes; compiled once.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

// Each file that writes to a string would compile all of fmt's formatting anew, which is most of the work for many:
// src/base/format.cc does it for all. (libfmt.so has it too, under a name that only GCC gives it: fmt's issue 2377.)
FMT_BEGIN_NAMESPACE
extern template void detail::vformat_to<char>(detail::buffer<char>&, basic_string_view<char>,
                                              basic_format_args<buffer_context<char>>, detail::locale_ref);
FMT_END_NAMESPACE
