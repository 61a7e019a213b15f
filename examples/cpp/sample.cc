// Writes a sample of an exported model as a PNG file, through TensorFlow's C API and without Python:
//
//     sample runs/acgan-digits-0001/export/acgan/1 sample.png seed=7 label=3
//
// The values are those of the inputs of the signature `png`. docs/export.md has the command that compiles this file.

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

void require(bool condition, const std::string& message) {
  if (condition) return;
  std::cerr << message << '\n';
  std::exit(1);
}

template <typename Number>
TF_Tensor* one_row(TF_DataType type, const std::string& argument) {
  const int64_t shape[] = {1};
  TF_Tensor* tensor = TF_AllocateTensor(type, shape, 1, sizeof(Number));
  std::istringstream text(argument.substr(argument.find('=') + 1));
  require(text >> *static_cast<Number*>(TF_TensorData(tensor)) && text.eof(), argument + ": not a number");
  return tensor;
}

int main(int argc, char** argv) {
  require(argc > 3, "usage: sample EXPORT OUT.png seed=NUMBER [label=NUMBER]");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(TF_NewSessionOptions(), nullptr, argv[1], tags, 1, graph, nullptr, status);
  require(TF_GetCode(status) == TF_OK, TF_Message(status));

  std::vector<TF_Output> inputs;
  std::vector<TF_Tensor*> values;
  for (const std::string& argument : std::vector<std::string>(argv + 3, argv + argc)) {
    TF_Output input = {TF_GraphOperationByName(graph, ("png_" + argument.substr(0, argument.find('='))).c_str()), 0};
    require(input.oper, argument + ": the export has no signature png with this input");
    const TF_DataType type = TF_OperationOutputType(input);
    values.push_back(type == TF_FLOAT ? one_row<float>(type, argument) : one_row<int64_t>(type, argument));
    inputs.push_back(input);
  }

  TF_Input call;  // all inputs of a signature lead to one operation, whose outputs are those of the signature
  TF_OperationOutputConsumers(inputs[0], &call, 1);
  const TF_Output output = {call.oper, 0};
  TF_Tensor* file = nullptr;
  TF_SessionRun(session, nullptr, inputs.data(), values.data(), values.size(), &output, &file, 1, nullptr, 0, nullptr, status);
  require(TF_GetCode(status) == TF_OK, TF_Message(status));  // such as a label that is out of range

  const auto* bytes = static_cast<const TF_TString*>(TF_TensorData(file));
  std::ofstream stream(argv[2], std::ios::binary);
  require(bool(stream.write(TF_StringGetDataPointer(bytes), TF_StringGetSize(bytes)).flush()), std::string(argv[2]) + " cannot be written");
}
