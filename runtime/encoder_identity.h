#pragma once
/// What the features of a medium depend on besides the medium itself.
#include <filesystem>
#include <memory>

#include "core/hash.h"
#include "runtime/encoder_store.h"
#include "runtime/loader.h"

namespace chiasm {

/// One hash of:
///   - the program: its code and the libraries that it calls (core/program.h), the instruction sets
///     in use;
///   - the number formats that the weights are kept in;
///   - the model's files: small JSON (config, settings of processors) by content, weights by size
///     and time of the last change, and by name, number format, shape and some bytes of every
///     tensor.
/// So no more than some kilobytes of a tensor are read. Writing to a file changes its time; another
/// file with the very same time and size (archives may carry times) has other numbers in every
/// tensor that was trained, quantized or merged anew, and the bytes tell. Only a file that is
/// changed by hand in a few numbers, with its time set back, is taken for what it was. The path is
/// no part: a model may be moved, or mounted elsewhere.
/// `path`: what the model was loaded from. The model's checkpoint must still be there.
ContentHash encoder_identity(const LoadedModel& model, const std::filesystem::path& path,
                             const LoadOptions& options);

/// The folder `options` name, for a model's features. RequestError where it cannot be used
/// (EncoderStore), and for models whose features no cache keeps; DeviceError on a device.
std::shared_ptr<EncoderStore> open_encoder_store(const LoadedModel& model,
                                                 const std::filesystem::path& path,
                                                 const LoadOptions& options);

}  // namespace chiasm
