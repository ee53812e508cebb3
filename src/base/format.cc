// fmt's formatting of texts, compiled once for all that write to strings (cmake/precompiled.h).
#include <fmt/format.h>

FMT_BEGIN_NAMESPACE
template void detail::vformat_to<char>(detail::buffer<char>&, basic_string_view<char>,
                                       basic_format_args<buffer_context<char>>, detail::locale_ref);
FMT_END_NAMESPACE
