// CbcLibrary: the functions of COIN-OR's CBC that are used, looked up by name in a library that is loaded with dlopen
// on first use and stays loaded. Whoever plans without the exact mode needs no solver.
//
// For the .cc files of this folder only: nobody else shall see CBC's header.
#pragma once

#include <memory>

#include <coin/Cbc_C_Interface.h>

#include "base/error.h"

namespace verge::planner {

struct CbcLibrary {
#define VERGE_CBC_FUNCTIONS(X)   \
  X(Cbc_newModel)                \
  X(Cbc_deleteModel)             \
  X(Cbc_addCol)                  \
  X(Cbc_addRow)                  \
  X(Cbc_setParameter)            \
  X(Cbc_setLogLevel)             \
  X(Cbc_setCutoff)               \
  X(Cbc_setMaximumSeconds)       \
  X(Cbc_solve)                   \
  X(Cbc_bestSolution)            \
  X(Cbc_getNumCols)              \
  X(Cbc_isProvenOptimal)         \
  X(Cbc_isProvenInfeasible)      \
  X(Cbc_getBestPossibleObjValue) \
  X(Cbc_numberSavedSolutions)

#define VERGE_CBC_MEMBER(name) decltype(&::name) name = nullptr;  // NOLINT(bugprone-macro-parentheses)
  VERGE_CBC_FUNCTIONS(VERGE_CBC_MEMBER)
#undef VERGE_CBC_MEMBER

  // Errors: plan.solver.
  static Result<std::unique_ptr<CbcLibrary>> load();
};

}  // namespace verge::planner
