// Weight gradient of a depthwise 3D convolution (stride 1, odd cubic kernel, same size), channels last, float32.
//
// grad[dz, dy, dx, c] = sum over n, z, y, x of output_grad[n, z, y, x, c] * input[n, z + dz - p, y + dy - p, x + dx - p, c]
//
// PyTorch's own kernel takes this sum about ten times slower on a CPU. Here a row along x is walked once for each
// (dz, dy): an input voxel meets the K output gradients around it, which stay in registers as the K sums do.
#include <ATen/Parallel.h>
#include <torch/extension.h>

typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));  // 16 channels of one voxel
constexpr int64_t lanes = 16;

inline Lanes load(const float* place) { return *reinterpret_cast<const Lanes*>(place); }

// sums[dx] += sum over x of output_grad[x] * input[x + dx - p], for rows of width voxels, stride floats apart
template <int K>
inline void add_row(const float* input, const float* output_grad, Lanes* sums, int64_t width, int64_t stride) {
  constexpr int p = K / 2;
  Lanes total[K], near[K];  // near[dx]: the output gradient that input voxel x meets under tap dx, at x - dx + p
  for (int dx = 0; dx < K; dx++) {
    total[dx] = sums[dx];
    near[dx] = p - dx >= 0 && p - dx < width ? load(output_grad + (p - dx) * stride) : Lanes{};
  }
  for (int64_t x = 0; x < width; x++) {
    const Lanes value = load(input + x * stride);
#pragma GCC unroll 7
    for (int dx = 0; dx < K; dx++) total[dx] += value * near[dx];
#pragma GCC unroll 7
    for (int dx = K - 1; dx > 0; dx--) near[dx] = near[dx - 1];
    near[0] = x + 1 + p < width ? load(output_grad + (x + 1 + p) * stride) : Lanes{};
  }
  for (int dx = 0; dx < K; dx++) sums[dx] = total[dx];
}

template <int K>
void accumulate(const float* input, const float* output_grad, float* grad, const std::array<int64_t, 5>& size) {
  constexpr int p = K / 2;
  const auto [batch, depth, height, width, channels] = size;
  at::parallel_for(0, channels / lanes * K, 1, [&, depth = depth, height = height, width = width, channels = channels,
                                                batch = batch](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t first = task / K * lanes, dz = task % K;
      Lanes sums[K][K] = {};
      for (int64_t plane = 0; plane < batch * depth; plane++) {
        if (plane % depth + dz < p || plane % depth + dz >= depth + p) continue;
        for (int64_t y = 0; y < height; y++)
          for (int dy = 0; dy < K; dy++) {
            if (y + dy < p || y + dy >= height + p) continue;
            const int64_t source = ((plane + dz - p) * height + y + dy - p) * width;
            const int64_t target = (plane * height + y) * width;
            add_row<K>(input + source * channels + first, output_grad + target * channels + first, sums[dy], width,
                       channels);
          }
      }
      for (int tap = 0; tap < K * K; tap++)
        for (int64_t c = 0; c < lanes; c++) grad[(dz * K * K + tap) * channels + first + c] = sums[tap / K][tap % K][c];
    }
  });
}

// input, output_grad: contiguous (N, D, H, W, C), C a multiple of 16 -> (K, K, K, C)
torch::Tensor weight_gradient(const torch::Tensor& input, const torch::Tensor& output_grad, int64_t kernel) {
  TORCH_CHECK(input.is_contiguous() && output_grad.is_contiguous() && input.sizes() == output_grad.sizes());
  TORCH_CHECK(input.scalar_type() == torch::kFloat && input.dim() == 5 && input.size(4) % lanes == 0);
  const std::array<int64_t, 5> size{input.size(0), input.size(1), input.size(2), input.size(3), input.size(4)};
  auto grad = torch::empty({kernel, kernel, kernel, size[4]}, input.options());
  const auto run = kernel == 3 ? accumulate<3> : kernel == 5 ? accumulate<5> : accumulate<7>;
  TORCH_CHECK(kernel == 3 || kernel == 5 || kernel == 7);
  run(input.data_ptr<float>(), output_grad.data_ptr<float>(), grad.data_ptr<float>(), size);
  return grad;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) { module.def("weight_gradient", &weight_gradient); }
