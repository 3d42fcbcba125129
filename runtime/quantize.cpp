#include "runtime/quantize.h"

#include <unistd.h>

#include <array>
#include <fstream>
#include <system_error>
#include <vector>

#include "core/packed_file.h"
#include "runtime/loader.h"

namespace chiasm {

namespace fs = std::filesystem;

namespace {

constexpr const char* kCard = "README.md";
constexpr const char* kOriginalCard = "README.original.md";
constexpr double kPackingShare = 0.5;  // of the progress; the rest is writing

/// Weights in any form, which the packed file takes the place of.
bool is_weights(const fs::path& file) {
  constexpr std::array kEndings = {".safetensors", ".bin",  ".pt",   ".pth",    ".ckpt",
                                   ".h5",          ".gguf", ".onnx", ".msgpack"};
  const std::string name = file.filename().string();
  for (const std::string_view ending : kEndings) {
    if (name.ends_with(ending) || name.ends_with(std::string(ending) + ".index.json")) return true;
  }
  return false;
}

template <class Work>
void written(const fs::path& file, const Work& work) {
  try {
    work();
  } catch (const std::system_error& e) {
    fail<ModelError>(file.string(), ": cannot be written: ", e.code().message());
  }
}

/// Configuration, tokenizer, templates and licence: everything of the folder but weights.
void copy_files(const fs::path& from, const fs::path& to) {
  written(to, [&] {
    for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".") || is_weights(name)) continue;
      if (entry.is_regular_file()) {  // a hub's cache holds links: what they lead to is copied
        fs::copy_file(entry.path(), to / (name == kCard ? kOriginalCard : name));
      } else if (name == "additional_chat_templates" && entry.is_directory()) {
        fs::copy(entry.path(), to / name, fs::copy_options::recursive);
      }
    }
  });
}

void write_card(const fs::path& folder, const std::string& name, const ModelInfo& info) {
  const std::string& to = info.quantize;
  std::ofstream card(folder / kCard);
  card << "---\nlibrary_name: chiasm\ntags:\n- chiasm\n- " << to << "\n---\n"
       << "# " << name << ", packed as " << to << " for Chiasm\n\n"
       << "Made by `chiasm quantize`. **Only Chiasm reads this folder**: its weights\n"
       << "(`" << kPackedFile << "`) lie as Chiasm's kernels take them, in layout "
       << kernels::packed_layout() << ", and are mapped\ninto memory without a copy. "
       << "transformers and other programs need the original model.\n\n"
       << "```python\nimport chiasm\nmodel = chiasm.load(\"path/to/this/folder\")\n```\n\n"
       << "Answers are bit for bit those of the original loaded with `quantize=\"" << to
       << "\"`\non the same instruction set. What is not\nquantized is kept in " << info.dtype
       << ". The layout is the same for every instruction set; a version of\n"
       << "Chiasm with another layout refuses the folder, and the original is quantized again.\n\n"
       << "Licence and description are the original model's";
  if (fs::exists(folder / kOriginalCard)) card << ": see [its card](" << kOriginalCard << ")";
  card << ".\n";
  card.close();
  if (!card) fail<ModelError>((folder / kCard).string(), ": cannot be written; is the disk full?");
}

/// Refuses an `out` that holds anything but what may be replaced.
void check_out(const fs::path& out, bool force) {
  std::error_code code;
  const fs::path parent = out.has_parent_path() ? out.parent_path() : fs::path(".");
  if (out.empty() || !fs::is_directory(parent, code)) {
    fail<RequestError>(out.string(), ": the folder ", parent.string(), " does not exist");
  }
  if (!fs::exists(fs::symlink_status(out, code))) return;
  const bool folder = fs::is_directory(fs::symlink_status(out, code));
  const bool ours = folder && (has_packed_file(out) || fs::is_empty(out, code));
  if (!ours) {
    fail<RequestError>(out.string(), ": exists and is no packed model, so it is not replaced; ",
                       "name a new folder");
  }
  if (!force) fail<RequestError>(out.string(), ": exists; --force (force=True) replaces it");
}

void check_space(const fs::path& folder, std::size_t needed) {
  std::error_code code;
  const fs::space_info space = fs::space(folder, code);
  if (!code && space.available < needed) {
    fail<ModelError>(folder.string(), ": the disk is full: ", needed, " bytes are needed, ",
                     space.available, " are free");
  }
}

/// A folder beside `out` that becomes it, or vanishes with everything in it.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& out)
      : out_(out),
        path_(out.parent_path() /
              ("." + out.filename().string() + "." + std::to_string(::getpid()) + ".partial")) {
    written(path_, [&] {
      fs::remove_all(path_);  // of a process of this number that was killed
      fs::create_directory(path_);
    });
  }
  ~NewFolder() {
    std::error_code code;
    fs::remove_all(path_, code);
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  const fs::path& path() const { return path_; }
  /// Puts the folder in the place of `out`, which is kept until the new one stands there.
  void publish() {
    written(out_, [&] {
      const fs::path before = path_.string() + ".before";
      const bool replaces = fs::exists(fs::symlink_status(out_));
      if (replaces) fs::rename(out_, before);
      fs::rename(path_, out_);
      if (replaces) fs::remove_all(before);
    });
  }

 private:
  fs::path out_, path_;
};

/// Tensors that stay as they are: vectors and tables the family reads, and what is Chiasm's own.
std::map<std::string, TensorEntry, std::less<>> unpacked(const LoadedModel& model,
                                                         const std::vector<PackedMatrix>& packed) {
  std::set<std::string, std::less<>> gone;
  for (const PackedMatrix& m : packed) gone.insert(m.sources.begin(), m.sources.end());
  std::map<std::string, TensorEntry, std::less<>> rest;
  for (const auto& [name, entry] : model.checkpoint->tensors()) {
    const bool used = model.tensors_read.contains(name) || name.starts_with("chiasm.");
    if (used && !gone.contains(name)) rest.emplace(name, entry);
  }
  return rest;
}

}  // namespace

void quantize(const fs::path& source, const fs::path& destination, const QuantizeOptions& options) {
  // "folder/" and "folder" are one: a name is needed for what stands beside it.
  const fs::path out = destination.has_filename() ? destination : destination.parent_path();
  if (options.to != "int8" && options.to != "int4") {
    fail<RequestError>("quantize to \"", options.to, "\" is not known; use int8 or int4");
  }
  if (source.extension() == ".gguf" && !fs::is_directory(source)) {
    fail<RequestError>(source.string(),
                       ": a GGUF file keeps its own number formats; load it as it "
                       "is");
  }
  if (fs::is_directory(source) && has_packed_file(source)) {
    fail<RequestError>(source.string(), ": is quantized already; give the original model");
  }
  check_out(out, options.force);

  LoadOptions load;
  load.device = "cpu";  // it packs what the CPU reads
  load.quantize = options.to;
  load.dtype = options.dtype;
  load.threads = options.threads;
  const auto tell = [&](double from, double share) -> std::function<void(double)> {
    if (!options.progress) return {};
    return [&options, from, share](double fraction) { options.progress(from + share * fraction); };
  };
  load.progress = tell(0, kPackingShare);
  std::vector<PackedMatrix> matrices;
  const LoadedModel model =
      load_model(source, load, [&](PackedMatrix m) { matrices.push_back(std::move(m)); });

  const auto others = unpacked(model, matrices);
  std::size_t needed = 0;
  for (const PackedMatrix& m : matrices) needed += m.bytes.size() + kPackedAlignment;
  for (const auto& [name, entry] : others) needed += entry.bytes.size();
  NewFolder folder(out);
  check_space(folder.path(), needed);
  copy_files(source, folder.path());
  write_card(folder.path(), fs::absolute(source).lexically_normal().filename().string(),
             model.info);
  const PackedHeader header{std::string(kernels::packed_layout()), options.to, model.info.dtype};
  write_packed(folder.path() / kPackedFile, header, matrices, others,
               tell(kPackingShare, 1 - kPackingShare));
  folder.publish();
}

}  // namespace chiasm
