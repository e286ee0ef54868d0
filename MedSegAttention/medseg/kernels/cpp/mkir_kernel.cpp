// The passes over memory of a training step through an MKIR block; float32, channels last, 16 channels at a time.
//
// What is slow in PyTorch on a CPU is not the arithmetic but the traffic: each batch normalisation, ReLU6 and addition
// reads and writes whole feature maps, and their backward passes do so again. Here a pass does all that can be done
// while a voxel is at hand. The algebra that joins the passes is in fast_mkir.py; x is (rows, C) or (N, D, H, W, C).
#include <ATen/Parallel.h>
#include <torch/extension.h>

using torch::Tensor;

typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));  // 16 channels of one voxel
constexpr int64_t lanes = 16;
constexpr int64_t block = 64;  // voxels whose sums are taken in float before they join those in double

inline Lanes load(const float* place) { return *reinterpret_cast<const Lanes*>(place); }
inline void store(float* place, Lanes value) { *reinterpret_cast<Lanes*>(place) = value; }

inline Lanes relu6(Lanes value) {
  const Lanes zero{}, six = zero + 6.f;
  value = value < zero ? zero : value;
  return value > six ? six : value;
}

// The gradient behind a ReLU6 whose input was value.
inline Lanes behind_relu6(Lanes grad, Lanes value) {
  const Lanes zero{}, six = zero + 6.f;
  grad = value > zero ? grad : zero;
  return value < six ? grad : zero;
}

const float* read(const Tensor& x) {
  TORCH_CHECK(x.is_contiguous() && x.scalar_type() == torch::kFloat && x.size(-1) % lanes == 0);
  return x.data_ptr<float>();
}

// work(part, first, last) in as many parts as there are threads: sums are always added in the same order.
template <class Work>
void in_parts(int64_t count, const Work& work) {
  const int64_t parts = at::get_num_threads();
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) work(part, count * part / parts, count * (part + 1) / parts);
  });
}

// work(place, channel) for every 16 channels of some voxels.
template <class Work>
inline void each_lanes(int64_t row, int64_t count, int64_t channels, const Work& work) {
  for (int64_t n = row; n < row + count; n++)
    for (int64_t c = 0; c < channels; c += lanes) work(n * channels + c, c);
}

// Sums of each channel, taken in float over a block of voxels and in double over all.
struct Sums {
  std::vector<double> total;
  std::vector<float> recent;
  explicit Sums(int64_t count) : total(count, 0.0), recent(count, 0.f) {}
  void add(int64_t first, Lanes value) { store(&recent[first], load(&recent[first]) + value); }
  void settle() {
    for (size_t n = 0; n < total.size(); n++) total[n] += recent[n];
    std::fill(recent.begin(), recent.end(), 0.f);
  }
};

Tensor summed(const std::vector<Sums>& parts, at::IntArrayRef shape) {
  auto result = torch::zeros(shape, torch::kDouble);
  double* place = result.data_ptr<double>();
  for (const Sums& part : parts)
    for (size_t n = 0; n < part.total.size(); n++) place[n] += part.total[n];
  return result;
}

// Mean and variance of each channel, joined block by block (Chan et al. 1983), so that a large mean costs no digits.
struct Moments {
  double count = 0;
  std::vector<double> mean, squares;
  explicit Moments(int64_t channels) : mean(channels, 0.0), squares(channels, 0.0) {}

  void join(int64_t c, double other_count, double other_mean, double other_squares) {
    const double all = count + other_count, step = other_mean - mean[c];
    mean[c] += step * other_count / all;
    squares[c] += other_squares + step * step * count * other_count / all;
  }

  void add(const float* x, int64_t rows) {
    const int64_t channels = mean.size();
    for (int64_t c = 0; c < channels; c += lanes) {
      Lanes sum{}, around{};
      for (int64_t row = 0; row < rows; row++) sum += load(x + row * channels + c);
      sum *= Lanes{} + 1.f / rows;
      for (int64_t row = 0; row < rows; row++) {
        const Lanes step = load(x + row * channels + c) - sum;
        around += step * step;
      }
      for (int64_t lane = 0; lane < lanes; lane++) join(c + lane, rows, sum[lane], around[lane]);
    }
    count += rows;
  }
};

Tensor moments_of(std::vector<Moments>& parts) {  // -> (2, C): mean and variance
  Moments& all = parts.front();
  const int64_t channels = all.mean.size();
  for (size_t n = 1; n < parts.size(); n++) {
    if (parts[n].count == 0) continue;
    for (int64_t c = 0; c < channels; c++) all.join(c, parts[n].count, parts[n].mean[c], parts[n].squares[c]);
    all.count += parts[n].count;
  }
  auto result = torch::empty({2, channels}, torch::kDouble);
  for (int64_t c = 0; c < channels; c++) {
    result.data_ptr<double>()[c] = all.mean[c];
    result.data_ptr<double>()[channels + c] = all.squares[c] / all.count;
  }
  return result;
}

// Blocks of rows of x, each handed over as (part, first row, number of rows).
template <class Work>
void each_block(int64_t rows, const Work& work) {
  in_parts((rows + block - 1) / block, [&](int64_t part, int64_t first, int64_t last) {
    for (int64_t n = first; n < last; n++) work(part, n * block, std::min(block, rows - n * block));
  });
}

Tensor moments(const Tensor& x) {
  const float* source = read(x);
  const int64_t channels = x.size(-1);
  std::vector<Moments> parts(at::get_num_threads(), Moments(channels));
  each_block(x.numel() / channels, [&](int64_t part, int64_t row, int64_t count) {
    parts[part].add(source + row * channels, count);
  });
  return moments_of(parts);
}

// relu6(scale * x + shift), and its moments
std::tuple<Tensor, Tensor> affine_relu6(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  const float *source = read(x), *a = read(scale), *b = read(shift);
  const int64_t channels = x.size(-1);
  auto result = torch::empty_like(x);
  float* target = result.data_ptr<float>();
  std::vector<Moments> parts(at::get_num_threads(), Moments(channels));
  each_block(x.numel() / channels, [&](int64_t part, int64_t row, int64_t count) {
    each_lanes(row, count, channels, [&](int64_t place, int64_t c) {
      store(target + place, relu6(load(source + place) * load(a + c) + load(b + c)));
    });
    parts[part].add(target + row * channels, count);
  });
  return {result, moments_of(parts)};
}

// One row along x of a depthwise convolution; taps (K^3, C). Eight voxels at a time stay in registers.
template <int K>
void filter_row(const float* x, const float* taps, float* out, at::IntArrayRef size, int64_t row, bool add) {
  constexpr int p = K / 2, tile = 8;
  const int64_t depth = size[1], height = size[2], width = size[3], channels = size[4];
  const int64_t y = row % height, plane = row / height, z = plane % depth;
  for (int64_t c = 0; c < channels; c += lanes)
    for (int64_t start = 0; start < width; start += tile) {
      Lanes sums[tile];
      for (int n = 0; n < tile; n++)
        sums[n] = add && start + n < width ? load(out + (start + n) * channels + c) : Lanes{};
      for (int dz = 0; dz < K; dz++) {
        if (z + dz < p || z + dz >= depth + p) continue;
        for (int dy = 0; dy < K; dy++) {
          if (y + dy < p || y + dy >= height + p) continue;
          const float* source = x + ((plane + dz - p) * height + y + dy - p) * width * channels + c;
          Lanes weights[K];
          for (int dx = 0; dx < K; dx++) weights[dx] = load(taps + ((dz * K + dy) * K + dx) * channels + c);
#pragma GCC unroll 12
          for (int n = 0; n < tile + K - 1; n++) {
            const int64_t at = start + n - p;
            if (at < 0 || at >= width) continue;
            const Lanes value = load(source + at * channels);
#pragma GCC unroll 5
            for (int dx = 0; dx < K; dx++)
              if (n - dx >= 0 && n - dx < tile) sums[n - dx] += value * weights[dx];
          }
        }
      }
      for (int n = 0; n < tile && start + n < width; n++) store(out + (start + n) * channels + c, sums[n]);
    }
}

// Both depthwise convolutions of one input, and their moments; taps (27, C) and (125, C).
std::tuple<Tensor, Tensor, Tensor, Tensor> depthwise(const Tensor& x, const Tensor& taps3, const Tensor& taps5) {
  const float *source = read(x), *three = read(taps3), *five = read(taps5);
  const int64_t width = x.size(3), channels = x.size(4);
  auto out3 = torch::empty_like(x), out5 = torch::empty_like(x);
  std::vector<Moments> parts3(at::get_num_threads(), Moments(channels)), parts5(parts3);
  in_parts(x.numel() / channels / width, [&](int64_t part, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      float* row3 = out3.data_ptr<float>() + row * width * channels;
      float* row5 = out5.data_ptr<float>() + row * width * channels;
      filter_row<3>(source, three, row3, x.sizes(), row, false);
      filter_row<5>(source, five, row5, x.sizes(), row, false);
      parts3[part].add(row3, width);
      parts5[part].add(row5, width);
    }
  });
  return {out3, out5, moments_of(parts3), moments_of(parts5)};
}

// Backward through both convolutions and the ReLU6 before them: grad, which holds what came through the 1^3 branch, is
// changed in place. Also sum g and sum g (h - mean) of the result. Taps are reversed; wide is what the ReLU6 gave.
Tensor depthwise_back(Tensor grad, const Tensor& grad3, const Tensor& grad5, const Tensor& taps3, const Tensor& taps5,
                      const Tensor& wide, const Tensor& h, const Tensor& mean) {
  const float *from3 = read(grad3), *from5 = read(grad5), *three = read(taps3), *five = read(taps5);
  const float *active = read(wide), *before = read(h), *centre = read(mean);
  const int64_t width = wide.size(3), channels = wide.size(4);
  std::vector<Sums> parts(at::get_num_threads(), Sums(2 * channels));
  in_parts(wide.numel() / channels / width, [&](int64_t part, int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      const int64_t begin = row * width * channels;
      float* target = grad.data_ptr<float>() + begin;
      filter_row<5>(from5, five, target, wide.sizes(), row, true);
      filter_row<3>(from3, three, target, wide.sizes(), row, true);
      each_lanes(0, width, channels, [&](int64_t place, int64_t c) {
        const Lanes g = behind_relu6(load(target + place), load(active + begin + place));
        store(target + place, g);
        parts[part].add(c, g);
        parts[part].add(channels + c, g * (load(before + begin + place) - load(centre + c)));
      });
      parts[part].settle();
    }
  });
  return summed(parts, {2, channels});
}

// sum over the three branches of relu6(scale * x + shift); scale and shift (3, C)
Tensor branch_sum(const std::vector<Tensor>& branches, const Tensor& scale, const Tensor& shift) {
  const float *a = read(scale), *b = read(shift), *x[3] = {read(branches[0]), read(branches[1]), read(branches[2])};
  const int64_t channels = scale.size(1);
  auto result = torch::empty_like(branches[0]);
  float* target = result.data_ptr<float>();
  each_block(result.numel() / channels, [&](int64_t, int64_t row, int64_t count) {
    each_lanes(row, count, channels, [&](int64_t place, int64_t c) {
      Lanes sum{};
      for (int64_t n = 0, k = c; n < 3; n++, k += channels)
        sum += relu6(load(x[n] + place) * load(a + k) + load(b + k));
      store(target + place, sum);
    });
  });
  return result;
}

// For each branch sum g and sum g (x - mean), with g the gradient behind its ReLU6 -> (3, 2, C)
Tensor branch_sums(const Tensor& grad, const std::vector<Tensor>& branches, const Tensor& scale, const Tensor& shift,
                   const Tensor& mean) {
  const float *a = read(scale), *b = read(shift), *centre = read(mean), *g = read(grad);
  const float* x[3] = {read(branches[0]), read(branches[1]), read(branches[2])};
  const int64_t channels = scale.size(1);
  std::vector<Sums> parts(at::get_num_threads(), Sums(6 * channels));
  each_block(grad.numel() / channels, [&](int64_t part, int64_t row, int64_t count) {
    for (int64_t n = 0; n < 3; n++)
      for (int64_t c = 0, k = n * channels; c < channels; c += lanes, k += lanes) {
        const Lanes by = load(a + k), plus = load(b + k), m = load(centre + k);
        Lanes sum{}, product{};
        for (int64_t place = row * channels + c; place < (row + count) * channels; place += channels) {
          const Lanes value = load(x[n] + place), behind = behind_relu6(load(g + place), value * by + plus);
          sum += behind;
          product += behind * (value - m);
        }
        parts[part].add(2 * n * channels + c, sum);
        parts[part].add((2 * n + 1) * channels + c, product);
      }
    parts[part].settle();
  });
  return summed(parts, {3, 2, channels});
}

// Gradient for the input of each branch: by * g + slope * x + level, with g the gradient behind its ReLU6; all (3, C)
std::vector<Tensor> branch_gradients(const Tensor& grad, const std::vector<Tensor>& branches, const Tensor& scale,
                                     const Tensor& shift, const Tensor& by, const Tensor& slope, const Tensor& level) {
  const float *a = read(scale), *b = read(shift), *s = read(by), *t = read(slope), *u = read(level), *g = read(grad);
  const int64_t channels = scale.size(1);
  std::vector<Tensor> results;
  for (int64_t n = 0; n < 3; n++) {
    results.push_back(torch::empty_like(grad));
    const float* x = read(branches[n]);
    float* target = results.back().data_ptr<float>();
    each_block(grad.numel() / channels, [&](int64_t, int64_t row, int64_t count) {
      each_lanes(row, count, channels, [&](int64_t place, int64_t c) {
        const int64_t k = n * channels + c;
        const Lanes value = load(x + place), behind = behind_relu6(load(g + place), value * load(a + k) + load(b + k));
        store(target + place, behind * load(s + k) + value * load(t + k) + load(u + k));
      });
    });
  }
  return results;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("moments", &moments);
  module.def("affine_relu6", &affine_relu6);
  module.def("depthwise", &depthwise);
  module.def("depthwise_back", &depthwise_back);
  module.def("branch_sum", &branch_sum);
  module.def("branch_sums", &branch_sums);
  module.def("branch_gradients", &branch_gradients);
}
