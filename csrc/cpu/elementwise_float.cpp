// Every elementwise op, computed in float.
#include "cpu/elementwise_loss.h"

namespace pycnn::PYCNN_ISA {

const OpTable& float_ops() {
    static const OpTable table = all_ops<float>();
    return table;
}

}  // namespace pycnn::PYCNN_ISA
