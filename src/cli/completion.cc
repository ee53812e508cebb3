#include "cli/completion.h"

#include <fmt/ranges.h>

namespace verge::cli {
namespace {

// The part of a description that fits on a line of completions.
std::string brief(const std::string& description) {
  return description.substr(0, std::min(description.find('\n'), description.find(" (")));
}

std::string quoted(const std::string& text, std::string_view escaped_quote) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out.append(escaped_quote);
    } else {
      out.push_back(c);
    }
  }
  return out + "'";
}

// How an option may be spelt: "--help", "-h".
std::vector<std::string> spellings(const CompletionWord& option) {
  std::vector<std::string> all = {option.text};
  if (!option.letter.empty()) all.push_back("-" + option.letter);
  return all;
}

// What a case of the shell says for an option of a command, in any of its spellings.
std::string case_of(const CompletionNode& node, const CompletionWord& option) {
  std::vector<std::string> patterns;
  for (const std::string& spelling : spellings(option)) {
    patterns.push_back(fmt::format("\"{} {}\"", fmt::join(node.path, " "), spelling));
  }
  return fmt::format("{}", fmt::join(patterns, "|"));
}

// The words of the line that are commands, joined by blanks: what both shells look up. (In zsh $path is $PATH.)
constexpr std::string_view kFindPath = R"(  local commanded="" word next
  for word in "${@}"; do
    next="${commanded:+$commanded }$word"
    case "$next" in
      @PATHS@) commanded="$next" ;;
    esac
  done
)";

std::string find_path(const std::vector<CompletionNode>& nodes) {
  std::vector<std::string> paths;
  for (const CompletionNode& node : nodes) {
    if (!node.path.empty()) paths.push_back(fmt::format("\"{}\"", fmt::join(node.path, " ")));
  }
  std::string text(kFindPath);
  text.replace(text.find("@PATHS@"), 7, fmt::format("{}", fmt::join(paths, "|")));
  return text;
}

}  // namespace

std::string bash_completion(const std::vector<CompletionNode>& nodes) {
  std::string out = "# bash completion of verge: source <(verge completion bash)\n_verge_words() {\n";
  // What an option takes; where that is not known, the shell's own completion stands in.
  out += find_path(nodes) + "  case \"$commanded ${*: -1}\" in\n";
  for (const CompletionNode& node : nodes) {
    for (const CompletionWord& word : node.options) {
      if (!word.takes_value) continue;
      out += fmt::format("    {}) echo \"{}\"; return ;;\n", case_of(node, word), fmt::join(word.values, " "));
    }
  }
  out += "  esac\n  case \"$commanded\" in\n";
  for (const CompletionNode& node : nodes) {
    std::vector<std::string> words;
    for (const CompletionWord& word : node.commands) words.push_back(word.text);
    words.insert(words.end(), node.values.begin(), node.values.end());
    for (const CompletionWord& word : node.options) {
      for (const std::string& spelling : spellings(word)) words.push_back(spelling);
    }
    out += fmt::format("    \"{}\") echo \"{}\" ;;\n", fmt::join(node.path, " "), fmt::join(words, " "));
  }
  out += R"sh(  esac
}
_verge() {
  local current="${COMP_WORDS[COMP_CWORD]}" before=$((COMP_CWORD - 1))
  # bash makes three words of --only=disk; at --only= the last one is "=".
  if [[ "$current" == "=" && "${COMP_WORDS[before]}" == --* ]]; then
    current=""
  elif [[ "${COMP_WORDS[before]}" == "=" && "${COMP_WORDS[before - 1]}" == --* ]]; then
    before=$((before - 1))
  fi
  COMPREPLY=($(compgen -W "$(_verge_words "${COMP_WORDS[@]:1:before}")" -- "$current"))
}
complete -o bashdefault -o default -F _verge verge
)sh";
  return out;
}

std::string zsh_completion(const std::vector<CompletionNode>& nodes) {
  std::string out = "#compdef verge\n# zsh completion of verge: source <(verge completion zsh)\n_verge_list() {\n";
  out += find_path(nodes) + "  local -a words\n  local files=0\n  case \"$commanded ${@[-1]}\" in\n";
  for (const CompletionNode& node : nodes) {
    for (const CompletionWord& word : node.options) {
      if (!word.takes_value) continue;
      const std::string then = word.values.empty()
                                   ? std::string("_files")
                                   : fmt::format("words=({}); _describe 'value' words", fmt::join(word.values, " "));
      out += fmt::format("    {}) {}; return ;;\n", case_of(node, word), then);
    }
  }
  out += "  esac\n  case \"$commanded\" in\n";
  for (const CompletionNode& node : nodes) {
    out += fmt::format("    \"{}\") words=(\n", fmt::join(node.path, " "));
    for (const std::string& value : node.values) out += "      " + value + "\n";
    for (const auto* words : {&node.commands, &node.options}) {
      for (const CompletionWord& word : *words) {
        for (const std::string& spelling : spellings(word)) {
          out += "      " + quoted(spelling + ":" + brief(word.description), "'\\''") + "\n";
        }
      }
    }
    out += fmt::format("    ){} ;;\n", node.takes_arguments && node.values.empty() ? " files=1" : "");
  }
  out += R"(  esac
  _describe 'verge' words || { (( files )) && _files }
}
_verge() { _verge_list "${(@)words[2,CURRENT-1]}" }
# Loaded from a file of $fpath, this is the body of the first call.
if [[ "${funcstack[1]}" == _verge ]]; then _verge "$@"; else compdef _verge verge; fi
)";
  return out;
}

std::string fish_completion(const std::vector<CompletionNode>& nodes) {
  std::string out = "# fish completion of verge: verge completion fish | source\n";
  // The words of the line that are commands, joined by blanks, as for the other shells.
  std::vector<std::string> paths;
  for (const CompletionNode& node : nodes) {
    if (!node.path.empty()) paths.push_back(fmt::format("'{}'", fmt::join(node.path, " ")));
  }
  out += fmt::format(R"(function __verge_commanded
    set -l words (commandline -opc)
    set -l commanded
    for word in $words[2..]
        if contains -- (string join ' ' $commanded $word) {}
            set -a commanded $word
        end
    end
    test (string join ' ' $commanded) = "$argv[1]"
end
)",
                     fmt::join(paths, " "));
  for (const CompletionNode& node : nodes) {
    const std::string condition = fmt::format("__verge_commanded \"{}\"", fmt::join(node.path, " "));
    for (const CompletionWord& word : node.commands) {
      out += fmt::format("complete -c verge -f -n '{}' -a {} -d {}\n", condition, word.text,
                         quoted(brief(word.description), "\\'"));
    }
    if (!node.takes_arguments || !node.values.empty()) {
      out += fmt::format("complete -c verge -f -n '{}'\n", condition);
    }
    if (!node.values.empty()) {
      out += fmt::format("complete -c verge -f -n '{}' -a '{}'\n", condition, fmt::join(node.values, " "));
    }
    for (const CompletionWord& word : node.options) {
      out += fmt::format("complete -c verge -n '{}' -l {}", condition, word.text.substr(2));
      if (!word.letter.empty()) out += " -s " + word.letter;
      if (!word.values.empty()) {
        out += fmt::format(" -x -a '{}'", fmt::join(word.values, " "));
      } else if (word.takes_value) {
        out += " -r -F";
      }
      out += fmt::format(" -d {}\n", quoted(brief(word.description), "\\'"));
    }
  }
  return out;
}

}  // namespace verge::cli
