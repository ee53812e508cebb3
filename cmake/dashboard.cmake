# The dashboard of web/, built by Vite and linked into the node: ./dev deps installs what builds it, by its lock file.
set(VERGE_DASHBOARD ${CMAKE_SOURCE_DIR}/web)
set(VERGE_DASHBOARD_PACKAGES ${CMAKE_SOURCE_DIR}/build/deps/dashboard)
find_program(NODE NAMES node nodejs)
if(NOT NODE OR NOT EXISTS ${VERGE_DASHBOARD_PACKAGES}/node_modules/vite)
  message(FATAL_ERROR "what builds the dashboard is not here: run ./dev deps")
endif()
file(GLOB_RECURSE dashboard_sources CONFIGURE_DEPENDS ${VERGE_DASHBOARD}/src/* ${VERGE_DASHBOARD}/public/*)
list(APPEND dashboard_sources ${VERGE_DASHBOARD}/index.html ${VERGE_DASHBOARD}/vite.config.ts
     ${VERGE_DASHBOARD}/tsconfig.json ${VERGE_DASHBOARD}/embed.mjs ${CMAKE_SOURCE_DIR}/packaging/copyright.mjs)
# In a copy beside its packages, where Node.js finds them: the source folder stays as it is.
set(dashboard_place ${CMAKE_BINARY_DIR}/dashboard)
set(dashboard_assembly ${CMAKE_BINARY_DIR}/dashboard_files.S)
add_custom_command(
  OUTPUT ${dashboard_assembly}
  COMMAND ${CMAKE_COMMAND} -E rm -rf ${dashboard_place}
  COMMAND ${CMAKE_COMMAND} -E copy_directory ${VERGE_DASHBOARD} ${dashboard_place}
  COMMAND ${CMAKE_COMMAND} -E create_symlink ${VERGE_DASHBOARD_PACKAGES}/node_modules ${dashboard_place}/node_modules
  COMMAND ${CMAKE_COMMAND} -E chdir ${dashboard_place} ${NODE} node_modules/typescript/bin/tsc --noEmit
  COMMAND ${CMAKE_COMMAND} -E chdir ${dashboard_place} ${NODE} node_modules/vite/bin/vite.js build --logLevel warn
  COMMAND ${NODE} ${CMAKE_SOURCE_DIR}/packaging/copyright.mjs notices ${dashboard_place}/modules.json
          ${VERGE_DASHBOARD_PACKAGES}/node_modules > ${dashboard_place}/dist/licences.txt
  COMMAND ${NODE} ${VERGE_DASHBOARD}/embed.mjs ${dashboard_place}/dist ${dashboard_assembly} 122880
  DEPENDS ${dashboard_sources} ${VERGE_DASHBOARD_PACKAGES}/package-lock.json
  COMMENT "building the dashboard" VERBATIM)
enable_language(ASM)
add_library(verge_dashboard STATIC ${dashboard_assembly})
set_target_properties(verge_dashboard PROPERTIES LINKER_LANGUAGE CXX)
