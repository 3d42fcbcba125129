#include "runtime/encoder_identity.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/isa.h"
#include "core/mapped_file.h"
#include "core/program.h"
#include "runtime/gguf_pair.h"

namespace chiasm {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t kSmallJson =
    1 << 20;  // over it: a tokenizer, which features know nothing of

/// Some of a tensor's bytes from all over it; all of a small one's.
ContentHash sample(std::span<const std::byte> bytes) {
  constexpr std::size_t kParts = 4, kPart = 1024;
  if (bytes.size() <= kParts * kPart) return content_hash(bytes);
  std::array<std::byte, kParts * kPart> taken{};
  for (std::size_t i = 0; i < kParts; i++) {
    const std::size_t from = (bytes.size() - kPart) / (kParts - 1) * i;
    std::ranges::copy(bytes.subspan(from, kPart), taken.begin() + std::ptrdiff_t(i * kPart));
  }
  return content_hash(taken);
}

/// The files that a model is read from, in order.
std::vector<fs::path> files_of(const fs::path& path, const LoadOptions& options) {
  std::vector<fs::path> files;
  if (!fs::is_directory(path)) {
    files.push_back(path);
    if (const auto projector = find_projector(path, options.mmproj)) files.push_back(*projector);
    return files;
  }
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string kind = entry.path().extension().string();
    const bool counts = kind == ".json" || kind == ".safetensors";
    if (counts && entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

/// Lines of text, to be hashed as one.
class Account {
 public:
  template <class... Parts>
  void add(const Parts&... parts) {
    ((text_ << parts << '\t'), ...);
    text_ << '\n';
  }
  ContentHash hash() const {
    const std::string text = text_.str();
    return content_hash(std::as_bytes(std::span(text)));
  }

 private:
  std::ostringstream text_;
};

}  // namespace

ContentHash encoder_identity(const LoadedModel& model, const fs::path& path,
                             const LoadOptions& options) {
  Account account;
  account.add("program", program_hash().hex());
  account.add("cpu", name(best_isa()), supported(Isa::avx2), has_avx512_bf16(), use_amx(),
              has_neon_dot());
  account.add("model", model.info.family, model.info.dtype, model.info.quantize,
              model.info.packed_layout);
  for (const fs::path& file : files_of(path, options)) {
    const std::string name = file.filename().string();
    const std::uintmax_t size = fs::file_size(file);
    if (file.extension() == ".json" && size <= kSmallJson) {
      account.add(name, content_hash(MappedFile(file).bytes()).hex());
    } else {
      account.add(name, size, fs::last_write_time(file).time_since_epoch().count());
    }
  }
  for (const auto& [name, entry] : model.checkpoint->tensors()) {
    account.add(name, int(entry.dtype), entry.blocks ? int(*entry.blocks) : -1, entry.packed,
                entry.shape, sample(entry.bytes).hex());
    model.checkpoint->release(entry);
  }
  return account.hash();
}

std::shared_ptr<EncoderStore> open_encoder_store(const LoadedModel& model, const fs::path& path,
                                                 const LoadOptions& options) {
  if (!model.devices.empty()) {
    fail<DeviceError>(
        "encoder_cache_dir: features that a device computes are not kept so far; load the model "
        "with device=\"cpu\"");
  }
  if (model.family->decoder().has_cross()) {
    fail<RequestError>("encoder_cache_dir: what family ", model.info.family,
                       " hears goes into its decoder's attention and is not kept; leave it out");
  }
  return std::make_shared<EncoderStore>(options.encoder_cache_dir, options.encoder_cache_dir_bytes,
                                        encoder_identity(model, path, options));
}

}  // namespace chiasm
