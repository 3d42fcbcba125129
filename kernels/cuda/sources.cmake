# Files that the plug-in and its emulation share; paths from this folder. Kernels (.cu) are compiled
# by nvcc for the plug-in and by the host's compiler for its emulation.
set(cuda_shared_sources
  attention.cpp
  downloads.cpp
  staging.cpp
  table.cpp
)
set(cuda_kernels
  attention_library.cu
  attention_rows.cu
  attention_tiles.cu
  gather.cu
  gemv.cu
  intrinsics.cu
  linear.cu
  log_mel.cu
  norm.cu
  pointwise.cu
  resize.cu
  sample.cu
  some_rows.cu
  turn.cu
)
