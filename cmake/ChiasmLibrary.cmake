# One library target per folder; links are exactly the allowed edges between folders.
#   chiasm_library(vision SOURCES a.cpp b.cpp LINK core kernels)
function(chiasm_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(chiasm_${name} STATIC ${ARG_SOURCES})
  add_library(chiasm::${name} ALIAS chiasm_${name})
  target_include_directories(chiasm_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/chiasm>)
  list(TRANSFORM ARG_LINK PREPEND chiasm_)
  target_link_libraries(chiasm_${name} PUBLIC ${ARG_LINK})
  chiasm_compile_options(chiasm_${name})
  if(CHIASM_FUZZ AND NOT name STREQUAL "kernels")  # kernels read no outside bytes: only slower
    target_compile_options(chiasm_${name} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
  set_property(GLOBAL APPEND PROPERTY CHIASM_LIBRARIES chiasm_${name})
endfunction()

# Warnings are errors where Chiasm is developed (CHIASM_WERROR); a user's compiler may be newer than
# any seen here and find more of them. No implicit contraction into FMA: bodies, tails and
# instruction sets would round differently, which breaks batch invariance.
function(chiasm_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow $<$<BOOL:${CHIASM_WERROR}>:-Werror>
    -ffp-contract=off)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)  # GCC bug 105651: false on string + string
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    # False where a function takes a temporary and returns a reference to what is not part of it.
    target_compile_options(${target} PRIVATE -Wno-dangling-reference)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_options(${target} PRIVATE -Wno-unknown-warning-option)  # GCC's own, per file
  endif()
  if(CHIASM_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${CHIASM_SANITIZE} -fno-sanitize-recover=all
      -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${CHIASM_SANITIZE})
    if(CHIASM_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      # False of std::optional inside std::variant in code that looks after every access.
      target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
    endif()
  endif()
endfunction()
