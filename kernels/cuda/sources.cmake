# Files that the plug-in and its emulation share; paths from this folder.
set(cuda_shared_sources
  table.cpp
)
