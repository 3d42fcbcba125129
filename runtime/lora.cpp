#include "runtime/lora.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <optional>

#include "core/mapped_file.h"
#include "core/safetensors.h"
#include "runtime/lora_config.h"

namespace chiasm {

namespace {

constexpr std::string_view kFile = "adapter_model.safetensors";
constexpr std::string_view kConfig = "adapter_config.json";
constexpr std::int64_t kMaxRank = 4096;  // far over any in use; bounds what a damaged file takes

/// The two matrices of a module.
struct Pair {
  std::string module;  // as the file names it, without "base_model.model."
  const TensorEntry* down = nullptr;
  const TensorEntry* up = nullptr;
  std::string down_name, up_name;
};

/// A tensor's module and which of its two matrices it is; nothing for other tensors.
std::optional<std::pair<std::string, bool>> parse_name(std::string_view tensor) {
  constexpr std::string_view kBase = "base_model.model.";
  const bool based = tensor.starts_with(kBase);
  const std::string_view name = based ? tensor.substr(kBase.size()) : tensor;
  for (const bool up : {false, true}) {
    const std::string_view mark = up ? ".lora_B." : ".lora_A.";
    const auto at = name.rfind(mark);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = name.substr(at + mark.size());  // "weight", "default.weight"
    if (rest == "weight" || rest.ends_with(".weight"))
      return {{std::string(name.substr(0, at)), up}};
  }
  return std::nullopt;
}

using Tensors = std::map<std::string, TensorEntry, std::less<>>;

std::map<std::string, Pair, std::less<>> pairs_of(const Tensors& tensors) {
  std::map<std::string, Pair, std::less<>> pairs;
  for (const auto& [name, entry] : tensors) {
    const auto parsed = parse_name(name);
    if (!parsed) {
      fail<ModelError>(name,
                       ": is no matrix of a LoRA (lora_A.weight, lora_B.weight of a module "
                       "that multiplies)");
    }
    Pair& pair = pairs[parsed->first];
    pair.module = parsed->first;
    (parsed->second ? pair.up : pair.down) = &entry;
    (parsed->second ? pair.up_name : pair.down_name) = name;
  }
  for (const auto& [module, pair] : pairs) {
    if (pair.down == nullptr) fail<ModelError>(pair.up_name, ": has no lora_A beside it");
    if (pair.up == nullptr) fail<ModelError>(pair.down_name, ": has no lora_B beside it");
  }
  return pairs;
}

/// The products by plain name. Two of one plain name are found by their full names alone.
std::map<std::string, const Product*, std::less<>> by_name(std::span<const Product> products) {
  std::map<std::string, const Product*, std::less<>> names;
  for (const Product& product : products) {
    const auto [at, fresh] = names.emplace(plain_module_name(product.name), &product);
    if (!fresh) at->second = nullptr;
  }
  for (const Product& product : products) names[product.name] = &product;
  return names;
}

/// Whether a module, by its plain name, changes nothing that is made of a medium. Of a decoder with
/// an encoder ("decoder.layers.0") no module is taken for such: some read the encoder's rows.
bool is_of_the_decoder(std::string_view module) {
  return module.starts_with("layers.") || module.starts_with("h.");
}

void check_shape(const std::string& name, const TensorEntry& entry, const Shape& expected,
                 const Product& product) {
  if (entry.shape == expected) return;
  fail<ModelError>(name, ": shape ", entry.shape, ", expected ", expected, " beside ", product.name,
                   " [", product.out, ", ", product.in,
                   "]; does the adapter belong to another model?");
}

std::vector<float> floats_of(const std::string& name, const TensorEntry& entry) {
  std::vector<float> values(std::size_t(entry.shape.count()));
  in_context(name, [&] {
    to_floats(entry.bytes.data(), entry.dtype, entry.shape.count(), values.data());
  });
  return values;
}

/// A matrix of the file as float32 times `factor`.
kernels::Matrix matrix_of(const Context& ctx, const std::string& name, const TensorEntry& entry,
                          double factor) {
  std::vector<float> values = floats_of(name, entry);
  for (float& value : values) value = float(double(value) * factor);
  const kernels::WeightRows rows{reinterpret_cast<const std::byte*>(values.data()), DType::f32,
                                 entry.shape[0]};
  return kernels::Matrix::pack(ctx, {&rows, 1}, entry.shape[1], kernels::WeightFormat::f32);
}

/// Whether all values of B are zero, as where training began.
bool adds_nothing(const Pair& pair) {
  return std::ranges::all_of(floats_of(pair.up_name, *pair.up), [](float v) { return v == 0; });
}

void read(const Context& ctx, const Tensors& tensors, const LoraConfig& config,
          std::span<const Product> products, Lora& lora) {
  const auto names = by_name(products);
  for (const auto& [module, pair] : pairs_of(tensors)) {
    auto found = names.find(module);
    if (found == names.end()) found = names.find(plain_module_name(module));
    if (found == names.end() || found->second == nullptr) {
      // A layer that the model has and never runs (LLaVA's last of the tower) was not trained.
      if (adds_nothing(pair)) continue;
      fail<ModelError>(pair.down_name, ": the model has no product ", module,
                       " that adapters change; does the adapter belong to another model?");
    }
    const Product& product = *found->second;
    if (pair.down->shape.rank() != 2) {
      fail<ModelError>(pair.down_name, ": shape ", pair.down->shape, ", expected [rank, ",
                       product.in, "]");
    }
    const std::int64_t rank = pair.down->shape[0], told = config.rank(module);
    if (rank < 1 || rank > kMaxRank) {
      fail<ModelError>(pair.down_name, ": shape ", pair.down->shape, ", a rank of 1 to ", kMaxRank,
                       " is expected");
    }
    check_shape(pair.down_name, *pair.down, {rank, product.in}, product);
    check_shape(pair.up_name, *pair.up, {product.out, rank}, product);
    if (rank != told) {
      fail<ModelError>(pair.down_name, ": shape ", pair.down->shape,
                       ", adapter_config.json tells a rank of ", told);
    }
    lora.weights.add(
        product.layer,
        {matrix_of(ctx, pair.down_name, *pair.down, 1),
         matrix_of(ctx, pair.up_name, *pair.up, config.scale(module, rank)), product.first});
    lora.modules++;
    if (!is_of_the_decoder(plain_module_name(product.name))) lora.changes_encoder = true;
  }
  if (lora.modules == 0) fail<ModelError>("holds no tensors");
}

/// Of both files of an adapter.
ContentHash hash_of(const MappedFile& tensors, const MappedFile& config) {
  const std::array both{content_hash(tensors.bytes()), content_hash(config.bytes())};
  return content_hash(std::as_bytes(std::span(both)));
}

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

/// Parts of a path that say only which class the layers are wrapped in.
constexpr std::string_view kWrappers[] = {"model",       "language_model", "text_model",
                                          "transformer", "backbone",       "bert",
                                          "roberta",     "mpnet",          "distilbert"};

std::string plain_module_name(std::string_view path) {
  std::string out, before;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find('.', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    const bool tower = part == "vision_model" && before == "vision_tower";
    if (std::ranges::find(kWrappers, part) == std::end(kWrappers) && !tower) {
      if (!out.empty()) out += '.';
      out += part;
    }
    before = part;
    begin = end + 1;
  }
  return out;
}

Lora load_lora(const Context& ctx, const std::filesystem::path& folder,
               std::span<const Product> products) {
  std::error_code code;
  if (!std::filesystem::is_directory(folder, code)) {
    fail<ModelError>(folder.string(), ": no such folder; give a PEFT adapter's");
  }
  const auto file = folder / kFile;
  if (!std::filesystem::exists(file, code)) {
    const bool old = std::filesystem::exists(folder / "adapter_model.bin", code);
    fail<ModelError>(folder.string(), ": has no ", kFile,
                     old ? "; adapter_model.bin may hold code, save it as safetensors" : "");
  }
  try {
    const LoraConfig config(Json::load(folder / kConfig, std::size_t(16) << 20));
    const MappedFile mapped(file);
    const Tensors tensors = parse_safetensors(mapped.bytes(), file.string());
    Lora lora;
    lora.path = folder.string();
    lora.id = next_id();
    in_context(file.string(), [&] { read(ctx, tensors, config, products, lora); });
    if (lora.changes_encoder) lora.content = hash_of(mapped, MappedFile(folder / kConfig));
    return lora;
  } catch (const FormatError& e) {
    throw ModelError(e.what());
  } catch (const ShapeError& e) {
    throw ModelError(file.string() + ": " + e.what());
  }
}

}  // namespace chiasm
