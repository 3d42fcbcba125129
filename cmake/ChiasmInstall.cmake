# `cmake --install` gives a CMake package: static libraries, headers under include/chiasm, and
# find_package(chiasm) with the target chiasm::runtime.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/chiasm)

get_property(libraries GLOBAL PROPERTY CHIASM_LIBRARIES)
foreach(library ${libraries})
  string(REPLACE "chiasm_" "" folder ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${folder})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/chiasm
    FILES_MATCHING PATTERN "*.h" PATTERN cpu EXCLUDE PATTERN reference EXCLUDE)
endforeach()
install(TARGETS ${libraries} EXPORT chiasm_targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT chiasm_targets NAMESPACE chiasm:: DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ChiasmConfig.cmake.in
  ${PROJECT_BINARY_DIR}/chiasmConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/chiasmConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/chiasmConfig.cmake ${PROJECT_BINARY_DIR}/chiasmConfigVersion.cmake
  DESTINATION ${package_dir})
